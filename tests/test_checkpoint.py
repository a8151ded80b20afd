import errno
import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

import rgan_bench
from rgan_bench import checkpoint
from rgan_bench.checkpoint import KEYS, last_checkpoint, load_checkpoint, load_generator, save_checkpoint
from rgan_bench.errors import UserError
from rgan_bench.schema import Config
from rgan_bench.state import TrainState

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
        "import resource, signal, torch, sys; from pathlib import Path; from rgan_bench.checkpoint import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (9999, 9999))\n"
        "try: save_checkpoint(Path(sys.argv[1]), {'iteration': 9, 'x': torch.zeros(10**6)})\n"
        "except OSError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert done.stdout == "[Errno 27] File too large\n", done.stderr
    assert load_checkpoint(path)["iteration"] == 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.pt"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full: Linux has one")
def test_a_full_disk_is_called_that(content: dict, tmp_path: Path) -> None:
    (tmp_path / f".a.pt.{os.getpid()}.tmp").symlink_to("/dev/full")  # where it will be written
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
