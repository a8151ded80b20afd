import subprocess
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

import rgan_bench
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
        "except OSError as error: print('refused')"
    )
    import sys

    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert done.stdout == "refused\n", done.stderr
    assert load_checkpoint(path)["iteration"] == 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.pt"]
