"""precision=bfloat16: what computes in it, what does not, and how far the results are from float32."""

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

import pytest
import torch
from torch import Tensor, nn

import rgan_bench
from rgan_bench import ranks, register
from rgan_bench.config.schema import Config
from rgan_bench.config.validate import group_options
from rgan_bench.data.load import load_data
from rgan_bench.gan.networks.spectral import SpectralNorm
from rgan_bench.run.experiment import run_experiment
from rgan_bench.run.folder import RunFolder
from rgan_bench.run.parts import Parts
from rgan_bench.training.accelerate import Accelerator
from rgan_bench.training.devices import set_numerics
from rgan_bench.training.loop import train
from rgan_bench.training.precision import hindrance
from rgan_bench.training.state import TrainState

CPU = torch.device("cpu")
Tiny = Callable[..., Config]
STILL = ("arch.width=4", "optim.lr=1e-30", "train.iterations=2")  # weights stay, spectral norm's vectors settle


def gradients(config: Config, rounded: bool = False, device: torch.device = CPU, **of_state: bool) -> dict[str, Tensor]:
    """Of each network, as one vector.

    Args:
        rounded: begins with weights that bfloat16 has.
    """
    accelerator = Accelerator("auto", device)
    state = TrainState.new(config, device, **(accelerator.of_state | of_state))
    networks = {"generator": state.generator, "discriminator": state.discriminator}
    if rounded:
        for network in networks.values():
            for parameter in network.parameters():
                parameter.data.copy_(parameter.data.bfloat16())
    for _ in train(state, load_data(config.data, config.limits).to(device), config, accelerator):
        pass
    return {
        name: torch.cat([parameter.grad.flatten() for parameter in network.parameters()])
        for name, network in networks.items()
    }


def assert_within_the_error_of_bfloat16(
    config: Config, times: float, device: torch.device = CPU, **of_state: bool
) -> None:
    """Against float32, where the yardstick is what float32 itself makes of weights rounded once."""
    exact, rounded = (gradients(config, once, device) for once in (False, True))
    for name, found in gradients(replace(config, precision="bfloat16"), device=device, **of_state).items():
        error, yardstick = ((other - exact[name]).norm() for other in (found, rounded[name]))
        assert 0 < error < times * yardstick, name
        assert error < 0.2 * exact[name].norm(), name


@pytest.mark.parametrize("loss", group_options("loss"))
def test_gradients_of_every_loss_are_float32s(loss: str, tiny_config: Tiny) -> None:
    config = tiny_config(f"loss={loss}", *STILL)
    assert_within_the_error_of_bfloat16(config, times=3)


@pytest.mark.parametrize("penalty", register.names("penalty"))
def test_gradients_of_every_penalty_are_float32s(penalty: str, tiny_config: Tiny) -> None:
    """Most differentiate twice. Their gradients pass through the layers once more, in bfloat16."""
    assert_within_the_error_of_bfloat16(tiny_config("loss=rsgan", f"loss.penalty={penalty}", *STILL), times=6)


@pytest.mark.parametrize("setup", ["loss=rasgan", "loss=rsgan_gp", "arch=snresnet32", "arch=r3gan32 loss=rsgan_r1r2"])
def test_gradients_with_fewer_kernels_are_float32s(setup: str, tiny_config: Tiny) -> None:
    config = tiny_config(*STILL, *setup.split(), "arch.width=8")
    assert_within_the_error_of_bfloat16(config, times=6, fewer_kernels=True)


@pytest.mark.gpu
@pytest.mark.parametrize("loss", ["rasgan", "rsgan_gp"])
def test_gradients_of_a_graph_on_a_gpu_are_float32s(loss: str, tiny_config: Tiny) -> None:
    config = tiny_config(f"loss={loss}", *STILL)
    assert_within_the_error_of_bfloat16(config, times=6, device=torch.device("cuda"))


@pytest.mark.parametrize("batch_norm", ["generator", "both"])
def test_what_computes_in_it_and_what_does_not(
    batch_norm: str, tiny_config: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(
        *("precision=bfloat16", "train.iterations=2", "ema.half_life=20", "loss=rsgan_gp"),
        *(f"arch.batch_norm={batch_norm}", f"arch.spectral_norm={str(batch_norm != 'both').lower()}"),
    )
    low, high, sigma = set(), set(), set()
    state = TrainState.new(config, CPU)
    for network in (state.generator, state.discriminator):
        network.register_forward_hook(lambda module, inputs, output: low.add(output.dtype))
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                module.register_forward_hook(lambda module, inputs, output: low.add(output.dtype))
    original, scored = SpectralNorm._power_iteration, "rgan_bench.gan.losses.Loss.discriminator"
    monkeypatch.setattr(
        SpectralNorm, "_power_iteration", lambda *given: sigma.add(torch.is_autocast_enabled("cpu")) or original(*given)
    )
    monkeypatch.setattr(scored, lambda loss, *logits: high.update(each.dtype for each in logits) or sum(logits).mean())
    for measured in train(state, load_data(config.data, config.limits), config):
        high |= {value.dtype for value in measured.values()}
    assert (low, high) == ({torch.bfloat16}, {torch.float32})
    assert sigma == ({False} if batch_norm == "generator" else set())
    kept = [tensor for tensor in state.tensors() if tensor.is_floating_point()]
    assert {tensor.dtype for tensor in kept} == {torch.float32}


def test_batch_norm_of_all_ranks_keeps_its_statistics_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ranks with the same rows: the statistics of one."""
    monkeypatch.setattr(ranks, "_world", ranks.World(0, 2))
    monkeypatch.setattr(ranks, "summed", lambda values: 2 * values)
    images = torch.randn(64, 3, 8, 8).add(5).bfloat16()
    alone, shared = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    ranks.normalise_over_all(shared)
    with ranks.sharing():
        found = shared(images)
    wanted = alone(images)
    assert found.dtype == wanted.dtype == torch.bfloat16
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(shared.running_mean, images.float().mean((0, 2, 3)) / 10, rtol=1e-6, atol=0)
    torch.testing.assert_close(shared.running_var, alone.running_var, rtol=1e-3, atol=0)  # of 2n − 1, of n − 1


def test_a_run_is_scored_in_float32_and_has_a_name_of_its_own(tiny_config: Tiny) -> None:
    plain, low = (tiny_config("train.iterations=2", f"precision={name}") for name in ("tf32", "bfloat16"))
    results = [run_experiment(config) for config in (plain, low)]
    assert "precision" not in results[0]["identity"]
    assert results[1]["identity"] == results[0]["identity"] | {"precision": "bfloat16"}
    (untrained, _), (same, trained) = (result["scores"]["fd_pixels"]["history"] for result in results)
    assert untrained == same
    (row,) = rgan_bench.score(RunFolder.of(low).path, quiet=True)
    assert row["value"] == pytest.approx(trained[1], rel=3e-6)  # other layouts round otherwise


@pytest.mark.parametrize(
    "network", ["data=ring8", pytest.param("loss=rasgan_gp", marks=pytest.mark.slow)], ids=["mlp2d", "cnn32"]
)
def test_every_number_is_finite_over_500_iterations(network: str, tiny_config: Tiny) -> None:
    points = ("fid.features=points",) if network == "data=ring8" else ()
    quiet = ("train.log_every=100", "train.sample_every=null", "train.checkpoint_every=null", "fid.every=null")
    config = tiny_config(network, *points, *quiet, "precision=bfloat16", "arch.width=4", "train.iterations=500")
    assert run_experiment(config)["status"] == "finished"


def test_tf32_is_off_where_it_must_be() -> None:
    flags = torch.backends.cudnn
    before = (flags.allow_tf32, flags.benchmark)
    try:
        for precision, deterministic, wanted in (
            *(("tf32", False, True), ("bfloat16", False, True), ("float32", False, False)),
            *(("tf32", True, False), ("float32", True, False)),
        ):
            set_numerics(deterministic, precision)
            assert flags.allow_tf32 is wanted
            assert torch.backends.cuda.matmul.allow_tf32 is False
    finally:
        torch.use_deterministic_algorithms(False)
        flags.allow_tf32, flags.benchmark = before


@pytest.mark.parametrize(
    ("told", "slow"),
    [({"avx2": True}, True), ({"avx512_bf16": True}, False), ({"amx_bf16": True}, False), ({"bf16": True}, False)],
)
def test_a_cpu_that_is_slower_in_it_says_so(
    told: dict, slow: bool, tiny_config: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: MappingProxyType(told))
    Parts.of(tiny_config("precision=bfloat16"))
    line = "precision=bfloat16: this CPU has no instructions for it (AVX512-BF16, AMX), so that it is slower here than "
    assert (line in "".join(capsys.readouterr())) is slow
    assert hindrance("tf32", CPU) is None
