"""Every fast way against the plain one. What needs a GPU is marked, and has not run where there is none."""

import platform
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rgan_bench import register
from rgan_bench.config.schema import Config
from rgan_bench.config.validate import group_options
from rgan_bench.data.load import load_data
from rgan_bench.errors import UserError
from rgan_bench.run.experiment import run_experiment
from rgan_bench.training import convolutions
from rgan_bench.training.accelerate import Accelerator, causes, restore, snapshot
from rgan_bench.training.convolutions import weight_gradient
from rgan_bench.training.devices import device_title, processor, resolve_device
from rgan_bench.training.loop import train
from rgan_bench.training.state import TrainState

CPU = torch.device("cpu")
Tiny = Callable[..., Config]
NETWORKS = ("generator", "discriminator")
AVERAGE = "generator_ema"


def trained(
    config: Config,
    mode: str,
    iterations: int,
    device: torch.device = CPU,
    saved: dict | None = None,
    steepness: float = 1.0,
) -> dict:
    """The state after so many iterations under one acceleration, and what the last one measured.

    In float64: Adam's first steps are the signs of gradients, and in float32 rounding decides those near zero.
    """
    accelerator = Accelerator(mode, device)
    state = TrainState.new(config, device, **accelerator.of_state)
    for network in (*state.generators().values(), state.discriminator):
        network.double().register_forward_pre_hook(lambda module, inputs: tuple(each.double() for each in inputs))
    with torch.no_grad():  # penalties from one side are zero where no gradient is larger than one
        state.discriminator.judge.weight.mul_(steepness)
    if saved is not None:
        state.load_state_dict(saved)
    config.train.iterations = iterations
    for measured in train(state, load_data(config.data, config.limits).to(device), config, accelerator):
        last = {name: value.item() for name, value in measured.items()}
    return {**state.state_dict(), "ran": accelerator.ran, "measured": last}


def assert_close(one: dict, two: dict) -> None:
    for name in (*NETWORKS, *([AVERAGE] if AVERAGE in one else [])):
        for key, value in one[name].items():
            torch.testing.assert_close(value, two[name][key], check_stride=False, rtol=1e-6, atol=1e-8)
    for name, value in one["measured"].items():
        assert value == pytest.approx(two["measured"][name], rel=1e-6, abs=1e-8), name


@pytest.mark.parametrize("loss", group_options("loss"))
def test_what_a_cpu_gets_changes_nothing_but_rounding(
    loss: str, tiny_config: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Layout, fused Adam and, for all layers instead of the wide ones alone, weight gradients as products."""
    products = []
    monkeypatch.setattr(convolutions, "FEWEST_CHANNELS", 0)
    monkeypatch.setattr(
        convolutions, "weight_gradient", lambda *arguments: products.append(1) or weight_gradient(*arguments)
    )
    config = tiny_config(f"loss={loss}", f"arch.spectral_norm={loss == 'spectral_sgan'}", "arch.width=4")
    plain = trained(config, "none", 3)
    assert not products
    fast = trained(config, "auto", 3)
    assert len(products) >= 3 * (2 * 7 + 4)  # real, fake and what the generator learns from, in every iteration
    assert (plain["ran"], fast["ran"]) == ("none", "layout")
    assert_close(plain, fast)
    if loss == "rasgan":
        products.clear()
        layout = trained(config, "layout", 3)
        assert layout["ran"] == "layout" and not products
        assert_close(plain, layout)


PENALTIES = [name for name in register.names("penalty") if name != "none"]
SCHEDULES = (
    *("schedule.lr.to=1e-5", "schedule.lr.end=3", "schedule.beta1.to=0", "schedule.beta1.end=2"),
    *("schedule.beta2.to=0.9", "schedule.beta2.end=3", "ema.half_life=10", "schedule.half_life.to=100"),
    *("schedule.half_life.end=3", "optim.lr_generator=1e-3", "optim.lr_discriminator=5e-4"),
)


@pytest.mark.parametrize("penalty", [*PENALTIES, "[r1,dragan,lecam]"])
def test_every_penalty_with_an_average_and_schedules_under_what_a_cpu_gets(penalty: str, tiny_config: Tiny) -> None:
    scheduled = () if "[" in penalty else ("schedule.penalty_weight.to=0", "schedule.penalty_weight.end=4")
    config = tiny_config("loss=rsgan", f"loss.penalty={penalty}", "arch.width=4", *SCHEDULES, *scheduled)
    steepness = {"lp": 1e4, "magan": 2e4}.get(penalty, 1.0)
    plain, fast = (trained(config, mode, 3, steepness=steepness) for mode in ("none", "auto"))
    assert (plain["ran"], fast["ran"]) == ("none", "layout")
    assert_close(plain, fast)
    assert plain["measured"]["loss/penalty"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("penalty", ["none", "[ar1r2,lecam]"])
def test_a_compiled_iteration_equals_the_eager_one(penalty: str, tiny_config: Tiny) -> None:
    """With spectral norm, whose vectors each pass of the discriminator changes before the backward passes."""
    config = tiny_config(
        "loss=rsgan", f"loss.penalty={penalty}", "accelerate=compile", "train.batch_size=2", *SCHEDULES
    )
    plain, compiled = trained(config, "none", 3), trained(config, "compile", 3)
    assert compiled["ran"] == "compile"
    assert_close(plain, compiled)


def test_plain_is_plain(tiny_config: Tiny) -> None:
    for overrides in (("arch.width=4",), ("data.image_size=64", "arch=dcgan64", "arch.width=4", "arch.pac=2")):
        config = tiny_config(*overrides)
        for plain, layout in ((True, torch.contiguous_format), (False, torch.channels_last)):
            state = TrainState.new(config, CPU, plain=plain)
            seen = []
            state.discriminator.register_forward_hook(lambda module, inputs, output, seen=seen: seen.append(inputs[0]))
            next(iter(train(state, load_data(config.data, config.limits), config)))
            assert all(images.is_contiguous(memory_format=layout) for images in seen)
            assert state.generator_optimizer.defaults["fused"] is not plain


@pytest.mark.parametrize(("first", "second"), [("none", "auto"), ("auto", "none")])
def test_a_run_goes_on_under_another_acceleration(first: str, second: str, tiny_config: Tiny) -> None:
    config = tiny_config("arch.width=4")
    whole = trained(config, "none", 6)
    parts = trained(config, second, 6, saved=trained(config, first, 3))
    assert_close(whole, parts)


def test_snapshots_bring_everything_back(tiny_config: Tiny) -> None:
    config = tiny_config("train.iterations=2")
    data = load_data(config.data, config.limits)
    state = TrainState.new(config, CPU)
    fresh = [tensor.clone() for tensor in state.tensors()]
    before = snapshot(state.tensors())
    for _ in train(state, data, config):
        pass
    assert len(state.tensors()) > len(fresh)  # Adam's moments came into being
    restore(state.tensors(), before)
    for tensor, wanted in zip(state.tensors(), fresh, strict=False):
        assert torch.equal(tensor, wanted)
    assert not any(tensor.any() for tensor in state.tensors()[len(fresh) :])


def test_graphs_without_a_gpu_are_refused_and_what_ran_is_recorded(tiny_config: Tiny) -> None:
    with pytest.raises(UserError, match="accelerate=graphs: needs a CUDA device, and this is cpu; use accelerate=auto"):
        run_experiment(tiny_config("accelerate=graphs"))
    assert run_experiment(tiny_config())["accelerate"] == {"asked": "auto", "ran": "layout"}
    assert run_experiment(tiny_config("accelerate=none", "seed=2"))["accelerate"] == {"asked": "none", "ran": "none"}


def test_a_failed_capture_is_told_with_what_it_came_from() -> None:
    try:
        try:
            raise RuntimeError("CUDA error: operation not permitted\nSearch for `cudaError' in https://docs …")
        finally:
            raise RuntimeError("CUDA error: failed during capture\nCompile with `TORCH_USE_CUDA_DSA`")
    except RuntimeError as error:
        assert causes(error) == "CUDA error: operation not permitted; then CUDA error: failed during capture"


def test_a_device_by_its_number_is_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    assert resolve_device("cuda") == torch.device("cuda")
    assert not chosen  # whichever is current: of several ranks each has its own
    assert resolve_device("cuda:1") == chosen[0] == torch.device("cuda:1")
    with pytest.raises(UserError, match=r"device=cuda:2: there are 2 CUDA devices here"):
        resolve_device("cuda:2")


# --- on a GPU ---------------------------------------------------------------------------------------------------------


GPU_SETUPS = {
    "n_d 3": ("loss=wgangp", "optim.n_d=3"),
    "batch norm in D": ("experiment=table2_lr1e-3", "loss=rahinge"),
    "dcgan, pac 2": ("data.image_size=64", "arch=dcgan64", "arch.pac=2", "train.batch_size=4", "loss=rasgan_gp"),
    "snresnet32": ("loss=hinge", "arch=snresnet32"),
    "r3gan32": ("loss=rsgan_r1r2", "arch=r3gan32"),
    "resize32": ("loss=rsgan_r1r2", "arch=resize32"),
    "average and schedules": SCHEDULES,
    "penalty's schedule": ("loss=wgangp", "schedule.penalty_weight.to=0", "schedule.penalty_weight.end=15"),
    **{f"penalty {name}": (f"loss.penalty={name}",) for name in [*PENALTIES, "[r1,dragan,lecam]"]},
    **{loss: (f"loss={loss}",) for loss in group_options("loss") if loss != "spectral_sgan"},
}


@pytest.mark.gpu
@pytest.mark.parametrize("setup", GPU_SETUPS)
def test_the_graphed_iteration_equals_the_eager_one(setup: str, tiny_config: Tiny) -> None:
    """Over 20 iterations, and again after a resume."""
    gpu = torch.device("cuda")
    config = tiny_config(*GPU_SETUPS[setup], "arch.width=8")
    eager, graphed = (trained(config, mode, 20, gpu) for mode in ("none", "graphs"))
    assert graphed["ran"] == "graphs"
    assert_close(eager, graphed)
    resumed = trained(config, "graphs", 20, gpu, saved=trained(config, "graphs", 10, gpu))
    assert_close(graphed, resumed)


@pytest.mark.gpu
def test_capturing_leaves_the_state_as_it_was(tiny_config: Tiny) -> None:
    config, gpu = tiny_config("arch.width=8"), torch.device("cuda")
    state = TrainState.new(config, gpu)
    before = {name: {k: v.clone() for k, v in getattr(state, name).state_dict().items()} for name in NETWORKS}
    config.train.iterations = 0
    data = load_data(config.data, config.limits).to(gpu)
    from rgan_bench.gan.losses import get_loss
    from rgan_bench.training.draws import draw
    from rgan_bench.training.loop import make_iteration

    iterate = make_iteration(state, get_loss("rasgan"), data, config)
    drawn = [part.to(gpu) for part in draw(config, len(data), 2, 0)]
    Accelerator("graphs", gpu).prepare(iterate, state.tensors, (), drawn)
    for name in NETWORKS:
        for key, value in getattr(state, name).state_dict().items():
            assert torch.equal(value, before[name][key])


def test_a_processor_is_named_by_what_decides_its_bits_and_its_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    capability = torch.backends.cpu.get_cpu_capability()
    assert device_title(torch.device("cpu")) == f"CPU ({processor()}, {capability}, 1 thread)"
    assert processor() in Path("/proc/cpuinfo").read_text() or processor() == platform.machine()
    monkeypatch.setattr(Path, "read_text", lambda path: "processor : 0\nBogoMIPS : 50\n")  # as on ARM
    assert processor() == platform.machine()
