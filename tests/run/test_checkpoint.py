import copy
import errno
import io
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import nn

import rgan_bench
from rgan_bench.config.schema import Config
from rgan_bench.config.validate import config_dir, validate
from rgan_bench.errors import UserError
from rgan_bench.gan.networks import build_networks
from rgan_bench.run import checkpoint
from rgan_bench.run.checkpoint import KEYS, last_checkpoint, load_checkpoint, load_generator, save_checkpoint
from rgan_bench.run.experiment import run_experiment
from rgan_bench.scoring.protocol import Protocol, ScoreHistory
from rgan_bench.training.state import TrainState
from tests.conftest import TINY

Tiny = Callable[..., Config]


@pytest.fixture
def content(tiny_config: Tiny) -> dict:
    config = tiny_config()
    return {**TrainState.new(config, torch.device("cpu")).state_dict(), "config": asdict(config)}


def test_tensors_and_primitives_only(content: dict, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.pt", content)
    loaded = torch.load(tmp_path / "a.pt", weights_only=True)
    assert set(KEYS) <= set(loaded)
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]  # no temporary file is left


def test_generator_samples_as_it_did(content: dict, tmp_path: Path, tiny_config: Tiny) -> None:
    state = TrainState.new(tiny_config("arch.width=2"), torch.device("cpu"))
    with torch.no_grad():
        state.generator(torch.randn(16, 128))  # moves the running statistics
    content["generator"] = state.generator.state_dict()
    (tmp_path / "checkpoints").mkdir()
    save_checkpoint(tmp_path / "checkpoints" / "last.pt", content)
    z = torch.randn(4, 128)
    with torch.no_grad():
        wanted = state.generator.eval()(z)
    for path in (tmp_path, str(tmp_path / "checkpoints" / "last.pt")):
        generator = rgan_bench.load_generator(path)
        assert generator.latent_dim == 128
        assert not any(parameter.requires_grad for parameter in generator.parameters())
        torch.testing.assert_close(generator(z), wanted)
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoints" / "last.pt"


def test_the_average_is_loaded_where_there_is_one(tmp_path: Path, tiny_config: Tiny) -> None:
    """Equal to an independent recomputation from the weights after each iteration."""
    config = tiny_config("ema.half_life=20", "train.checkpoint_every=1", "train.keep=null", "fid.every=null")
    run_experiment(config)
    (folder,) = Path("outputs").iterdir()
    raw = [TrainState.new(config, torch.device("cpu")).generator.project.weight.detach()]
    raw += [load_generator(folder / "checkpoints" / f"iter_{n:06d}.pt").project.weight for n in range(1, 5)]
    beta, mean = 0.5 ** (8 / 20), raw[0].double()
    for weight in raw[1:]:
        mean = beta * mean + (1 - beta) * weight.double()
    averaged = rgan_bench.load_generator(folder, ema=True)
    torch.testing.assert_close(averaged.project.weight.double(), mean, rtol=1e-5, atol=1e-7)
    assert torch.equal(load_generator(folder).project.weight, raw[-1])
    assert not averaged.training
    assert not averaged.project.weight.requires_grad


def test_without_an_average_one_line_says_so(content: dict, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.pt", content)
    with pytest.raises(UserError, match=r"a\.pt: has no averaged generator, .* ema\.half_life=0; leave out") as refusal:
        load_generator(tmp_path / "a.pt", ema=True)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("other", [None, {}, {"project.weight": "x"}, "…", "of width 3"], ids=str)
def test_an_average_that_is_something_else_is_refused(other: object, tmp_path: Path, tiny_config: Tiny) -> None:
    config = tiny_config("ema.half_life=20")
    state = TrainState.new(config, torch.device("cpu"))
    content = copy.deepcopy({**state.state_dict(), "config": asdict(config)})
    if other == "of width 3":
        other = build_networks(replace(config.arch, width=3), seed=0)[0].state_dict()
    content["generator_ema"] = other
    if other == "…":
        del content["generator_ema"]
    save_checkpoint(tmp_path / "a.pt", content)
    with pytest.raises(UserError, match="its averaged generator is not the arch=cnn32 of width 2") as refusal:
        load_generator(tmp_path / "a.pt", ema=True)
    assert "\n" not in str(refusal.value)
    load_generator(tmp_path / "a.pt")
    with pytest.raises((RuntimeError, ValueError)):
        state.load_state_dict(load_checkpoint(tmp_path / "a.pt"))


class Malicious:
    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("owned"),))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "there is no such checkpoint"),
        (lambda path: path.write_text("text"), "cannot be read as a checkpoint"),
        (lambda path: path.write_bytes(b""), "cannot be read as a checkpoint"),
        (lambda path: torch.save({"weights": 1}, path), "not a checkpoint of rgan-train"),
        (lambda path: torch.save([1], path), "not a checkpoint of rgan-train"),
        (lambda path: torch.save(Malicious(), path), "cannot be read as a checkpoint"),
    ],
    ids=["missing", "text", "empty", "other", "list", "malicious"],
)
def test_what_is_no_checkpoint_is_refused(write: Callable, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    write(path)
    with pytest.raises(UserError, match=rf"{path}: {message}") as refusal:
        load_generator(path)
    assert "\n" not in str(refusal.value)
    assert not Path("owned").exists()


@pytest.mark.parametrize("iteration", [-1, 2**63, 10**400, True, 1.0, "1", None], ids=lambda value: repr(value)[:9])
def test_an_iteration_that_is_none_is_refused(iteration: object, content: dict, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.pt", {**content, "iteration": iteration})
    with pytest.raises(UserError, match="its iteration or config is of another kind"):
        load_checkpoint(tmp_path / "a.pt")


def test_truncated_files_are_refused_wherever_they_end(content: dict, tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, content)
    whole = path.read_bytes()
    for part in (0.1, 0.5, 0.9, 0.999):
        path.write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(UserError, match="cannot be read as a checkpoint"):
            load_checkpoint(path)


def test_a_checkpoint_of_another_arch_is_refused(content: dict, tmp_path: Path) -> None:
    content["config"]["arch"]["width"] = 3
    save_checkpoint(tmp_path / "a.pt", content)
    with pytest.raises(UserError, match="its generator is not the arch=cnn32 of width 3"):
        load_generator(tmp_path / "a.pt")


def test_a_config_from_another_world_is_refused(content: dict, tmp_path: Path) -> None:
    content["config"]["arch"]["name"] = "biggan"
    save_checkpoint(tmp_path / "a.pt", content)
    with pytest.raises(UserError, match=r"does not understand: arch\.name=biggan"):
        load_generator(tmp_path / "a.pt")


def test_a_full_disk_leaves_the_old_checkpoint(content: dict, tmp_path: Path) -> None:
    """With a limit on the size of files, which the kernel enforces as it does a full disk."""
    path = tmp_path / "a.pt"
    save_checkpoint(path, content)
    code = (
        "import resource, signal, torch, sys; from pathlib import Path; from rgan_bench.run.checkpoint import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (9999, 9999))\n"
        "try: save_checkpoint(Path(sys.argv[1]), {'iteration': 9, 'x': torch.zeros(10**6)})\n"
        "except OSError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert done.stdout == "[Errno 27] File too large\n", done.stderr
    assert load_checkpoint(path)["iteration"] == 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.pt"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full: Linux has one")
def test_a_full_disk_is_called_that(content: dict, tmp_path: Path, full_disk: Callable[[Path], None]) -> None:
    full_disk(tmp_path / "a.pt")
    with pytest.raises(OSError, match=r"^\[Errno 28\] No space left on device$"):
        save_checkpoint(tmp_path / "a.pt", content)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("room", [0, 100, 5000, 20_000])
def test_whichever_write_fails_its_error_is_the_one_that_is_raised(content: dict, room: int) -> None:
    class Disk(io.BytesIO):
        def write(self, data: bytes) -> int:
            if self.tell() + len(data) > room:
                raise OSError(errno.EDQUOT, "Disk quota exceeded")
            return super().write(data)

    with pytest.raises(OSError, match="Disk quota exceeded"):
        checkpoint._save(content, Disk())


def test_what_cannot_be_saved_is_no_fault_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="unsaveable"):
        save_checkpoint(tmp_path / "a.pt", {"x": Unsaveable()})
    assert list(tmp_path.iterdir()) == []


class Unsaveable:
    def __reduce__(self) -> tuple:
        raise RuntimeError("unsaveable")


# --- tensors of other kinds -------------------------------------------------------------------------------------------

OTHER_KINDS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "sparse": lambda tensor: tensor.to_sparse(),
    "csr": lambda tensor: tensor.to_sparse_csr(),
    "complex": lambda tensor: tensor.to(torch.complex64),
    "meta": lambda tensor: tensor.to("meta"),
    "quantized": lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", OTHER_KINDS)
@pytest.mark.parametrize("place", ["generator", "scores"])
def test_tensors_of_other_kinds_are_refused(kind: str, place: str, content: dict, tmp_path: Path) -> None:
    weights = content["generator"]
    other = OTHER_KINDS[kind](weights["project.weight"])
    if place == "generator":
        weights["project.weight"] = other
    else:
        content["scores"] = ({"deep": [other]},)
    save_checkpoint(tmp_path / "a.pt", content)
    with pytest.raises(UserError, match=rf"{tmp_path}/a.pt: (not a|cannot be read as a) checkpoint") as refusal:
        load_generator(tmp_path / "a.pt")
    assert "\n" not in str(refusal.value)


def test_a_content_that_holds_itself_can_be_looked_through(content: dict, tmp_path: Path) -> None:
    content["scores"] = [content]
    for _ in range(5000):
        content["scores"] = [content["scores"]]
    assert len(list(checkpoint._tensors(content))) == len(list(checkpoint._tensors({**content, "scores": []})))


@pytest.mark.parametrize(
    "change",
    [
        lambda weight: weight[:1].clone().expand_as(weight),  # one row, said to be all of them
        lambda weight: weight.double(),
        lambda weight: weight.clone().requires_grad_(),
        lambda weight: weight.t().contiguous().t(),
    ],
    ids=["expanded", "double", "with gradient", "turned"],
)
def test_weights_are_copied_however_they_lie(change: Callable, content: dict, tmp_path: Path) -> None:
    wanted = change(content["generator"]["project.weight"])
    content["generator"]["project.weight"] = wanted
    save_checkpoint(tmp_path / "a.pt", content)
    weight = load_generator(tmp_path / "a.pt").project.weight
    assert torch.equal(weight, wanted.float())
    assert (weight.dtype, weight.is_contiguous(), weight.requires_grad) == (torch.float32, True, False)


@pytest.mark.parametrize("other", [[], {}, None, {1: 2}, {"project.weight": "x"}, torch.zeros(2)], ids=repr)
def test_a_generator_that_is_something_else_is_refused(other: object, content: dict, tmp_path: Path) -> None:
    content["generator"] = other
    save_checkpoint(tmp_path / "a.pt", content)
    with pytest.raises(UserError, match="its generator is not the arch=cnn32 of width 2"):
        load_generator(tmp_path / "a.pt")


# --- what a run goes on from ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def config() -> Config:
    """One for all of these tests: composing it takes most of their time."""
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return validate(compose("config", overrides=list(TINY)))


@pytest.fixture
def stepped(config: Config) -> dict:
    """The state of a run after one step of each optimizer."""
    state = TrainState.new(config, torch.device("cpu"))
    for network, optimizer in (
        (state.generator, state.generator_optimizer),
        (state.discriminator, state.discriminator_optimizer),
    ):
        for index, parameter in enumerate(network.parameters()):
            parameter.grad = torch.full_like(parameter, 1.0 + index)
        optimizer.step()
    state.iteration = 1
    state.failed_scores = [{"iteration": 0, "reason": "out of memory"}]
    state.diverged = {"iteration": 1, "not_finite": ["loss/generator"]}
    state.diversity = {"iteration": 0, "pixel_sd": 0.25}
    protocol = Protocol("pixels", "none", 200, 200, "batch", 50, "0" * 16)
    state.scores = {protocol.fingerprint: ScoreHistory(protocol, [(0, 7.5)])}
    return copy.deepcopy(state.state_dict())


def group(saved: dict) -> dict:
    return saved["generator_optimizer"]["param_groups"][0]


def moments(saved: dict) -> dict:
    return saved["generator_optimizer"]["state"][0]


def expanded(moment: torch.Tensor) -> torch.Tensor:
    return moment.flatten()[0].expand_as(moment)


UNFIT: dict[str, tuple[Callable[[dict], object], str]] = {
    "lr as text": (lambda saved: group(saved).update(lr="0.0002"), "has lr='0.0002', this run's 0.0002"),
    "another lr": (lambda saved: group(saved).update(lr=5.0), "generator_optimizer has lr=5.0, this run's 0.0002"),
    "lr of two": (lambda saved: group(saved).update(lr=torch.zeros(2)), "has lr=tensor"),
    "lr NaN": (lambda saved: group(saved).update(lr=float("nan")), "has lr=nan"),
    "no lr": (lambda saved: group(saved).pop("lr"), "has lr=0.001, this run's"),
    "betas": (lambda saved: group(saved).update(betas=(0.9, 0.9)), r"has betas=\(0.9, 0.9\), this run's \(0.5,"),
    "eps": (lambda saved: group(saved).update(eps=0.1), "has eps=0.1, this run's 1e-08"),
    "weight decay": (lambda saved: group(saved).update(weight_decay=1e9), "has weight_decay=1000000000.0, this"),
    "maximize": (lambda saved: group(saved).update(maximize=True), "has maximize=True, this run's False"),
    "amsgrad": (lambda saved: group(saved).update(amsgrad=True), "has amsgrad=True, this run's False"),
    "an unknown key": (lambda saved: group(saved).update(momentum=0.9), "has momentum=0.9, this run's False"),
    "a key that is no text": (lambda saved: group(saved).update({1: 2}), "has 1=2"),
    "parameters turned round": (lambda saved: group(saved)["params"].reverse(), "has params="),
    "a parameter too few": (lambda saved: group(saved)["params"].pop(), "has params="),
    "no parameters": (lambda saved: group(saved).pop("params"), "has params="),
    "two groups": (lambda saved: saved["generator_optimizer"]["param_groups"].append({}), "zip"),
    "no groups": (lambda saved: saved["generator_optimizer"].pop("param_groups"), "param_groups"),
    "a group that is none": (lambda saved: saved["generator_optimizer"]["param_groups"].__setitem__(0, 3), "int"),
    "no optimizer": (lambda saved: saved.update(generator_optimizer=None), "NoneType"),
    "no moments": (lambda saved: saved["generator_optimizer"].update(state={}), "has moments of other parameters"),
    "moments of one missing": (lambda saved: saved["generator_optimizer"]["state"].pop(0), "has moments of other"),
    "moments of more": (lambda saved: saved["generator_optimizer"]["state"].update({99: {}}), "has moments of other"),
    "moments before a step": (lambda saved: saved.update(iteration=0), "has moments of other parameters"),
    "amsgrad's moment": (lambda saved: moments(saved).update(max_exp_avg_sq=0), "and not Adam's moments"),
    "a moment missing": (lambda saved: moments(saved).pop("exp_avg"), "and not Adam's moments"),
    "another shape": (lambda saved: moments(saved).update(exp_avg=torch.zeros(2, 3)), "exp_avg is not of the shape"),
    "another dtype": (
        lambda saved: moments(saved).update(exp_avg_sq=moments(saved)["exp_avg_sq"].double()),
        "exp_avg_sq is not of the shape and kind",
    ),
    "a moment on no device": (
        lambda saved: moments(saved).update(exp_avg=moments(saved)["exp_avg"].to("meta")),
        "meta tensor",
    ),
    "step of a shape": (lambda saved: moments(saved).update(step=torch.ones(1).expand(5)), "its steps as tensor"),
    "step negative": (lambda saved: moments(saved).update(step=torch.tensor(-1.0)), "counts its steps as -1.0"),
    "step NaN": (lambda saved: moments(saved).update(step=torch.tensor(float("nan"))), "counts its steps as nan"),
    "step infinite": (lambda saved: moments(saved).update(step=float("inf")), "counts its steps as inf"),
    "step and a half": (lambda saved: moments(saved).update(step=torch.tensor(1.5)), "counts its steps as 1.5"),
    "step complex": (lambda saved: moments(saved).update(step=torch.tensor(1j)), "counts its steps as 1j"),
    "step as text": (lambda saved: moments(saved).update(step="1"), "counts its steps as '1'"),
    "step beyond floats": (lambda saved: moments(saved).update(step=10**400), "OverflowError"),
    "a score beyond floats": (lambda saved: saved["scores"][0]["entries"].append([1, 10**400]), "OverflowError"),
    "a score NaN": (lambda saved: saved["scores"][0]["entries"].append([1, float("nan")]), "not JSON compliant"),
    "a history without scores": (lambda saved: saved["scores"][0]["entries"].clear(), "IndexError"),
    "a count as text": (lambda saved: saved["scores"][0]["protocol"].update(num_real="x"), "TypeError"),
    "a failed score of nothing": (lambda saved: saved["failed_scores"].append(None), "failed_scores is of another"),
    "failed scores by name": (lambda saved: saved.update(failed_scores={}), "failed_scores is of another kind"),
    "a failed score at no time": (lambda saved: saved["failed_scores"][0].pop("iteration"), "failed_scores is of"),
    "a score at no time": (lambda saved: saved.update(score_seconds=[{"iteration": 1}]), "score_seconds is of another"),
    "a score in NaN": (
        lambda saved: saved.update(score_seconds=[{"iteration": 1, "training_seconds": float("nan")}]),
        "score_seconds is of another kind",
    ),
    "diverged": (lambda saved: saved.update(diverged=True), "diverged is of another kind: True"),
    "diverged in nothing": (lambda saved: saved["diverged"].update(not_finite=[1]), "diverged is of another kind"),
    "diversity": (lambda saved: saved["diversity"].update(pixel_sd="x"), "diversity is of another kind"),
    "seconds NaN": (lambda saved: saved.update(training_seconds=float("nan")), "training_seconds is of another kind"),
    "seconds beyond floats": (lambda saved: saved.update(training_seconds=10**400), "OverflowError"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNFIT)
def test_what_does_not_fit_the_run_is_named(name: str, stepped: dict, config: Config) -> None:
    change, message = UNFIT[name]
    change(stepped)
    with pytest.raises((RuntimeError, ValueError), match=message):
        TrainState.new(config, torch.device("cpu")).load_state_dict(stepped)


FIT: dict[str, Callable[[dict], object]] = {
    "as saved": lambda saved: None,
    "computed in another way": lambda saved: group(saved).update(
        fused=None, foreach=True, capturable=True, differentiable=False
    ),
    "of a torch that knew less": lambda saved: [
        group(saved).pop(key) for key in ("decoupled_weight_decay", "maximize")
    ],
    "of a torch that knows more": lambda saved: group(saved).update(cautious=False, fisher=None),
    "lists for tuples": lambda saved: group(saved).update(betas=list(group(saved)["betas"])),
    "steps as numbers": lambda saved: [each.update(step=1) for each in saved["generator_optimizer"]["state"].values()],
    "one tensor of steps for all": lambda saved: [
        each.update(step=moments(saved)["step"]) for each in saved["generator_optimizer"]["state"].values()
    ],
    "moments that are parameters": lambda saved: moments(saved).update(exp_avg=nn.Parameter(moments(saved)["exp_avg"])),
    "moments of one number": lambda saved: moments(saved).update(
        exp_avg=expanded(moments(saved)["exp_avg"]), exp_avg_sq=expanded(moments(saved)["exp_avg_sq"])
    ),
}


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("name", FIT)
def test_what_fits_the_run_is_copied_and_the_optimizer_keeps_its_settings(
    name: str, plain: bool, stepped: dict, config: Config
) -> None:
    """The moments are uniform here, so that even those of one number are the same."""
    reference = copy.deepcopy(stepped)
    FIT[name](stepped)
    state = TrainState.new(config, torch.device("cpu"), plain=plain)
    settings = [
        {key: value for key, value in each.items() if key != "params"}
        for each in state.generator_optimizer.param_groups
    ]
    state.load_state_dict(stepped)
    optimizer = state.generator_optimizer
    assert [{key: each[key] for key in settings[0]} for each in optimizer.param_groups] == settings
    steps = [each["step"] for each in optimizer.state.values()]
    assert len({step.data_ptr() for step in steps}) == len(steps)
    for index, parameter in enumerate(state.generator.parameters()):
        own, wanted = optimizer.state[parameter], reference["generator_optimizer"]["state"][index]
        assert (own["step"].dtype, own["step"].shape, own["step"].item()) == (torch.float32, (), 1)
        for moment in ("exp_avg", "exp_avg_sq"):
            assert torch.equal(own[moment], wanted[moment])
            assert own[moment].stride() == parameter.stride()
            assert not own[moment].requires_grad
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert {step.item() for step in steps} == {2}
