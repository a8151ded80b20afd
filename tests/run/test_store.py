from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from rgan_bench.config.schema import Config
from rgan_bench.errors import UserError
from rgan_bench.files import write_atomically
from rgan_bench.run import store as module
from rgan_bench.run.checkpoint import last_checkpoint
from rgan_bench.run.store import CheckpointStore
from rgan_bench.training.state import TrainState


@pytest.fixture
def content(tiny_config: Callable[..., Config]) -> Callable[[int], dict]:
    config = tiny_config()
    state = TrainState.new(config, torch.device("cpu"))
    return lambda iteration: {**state.state_dict(), "config": asdict(config), "iteration": iteration}


def newest(store: CheckpointStore) -> tuple[str, int] | None:
    found = store.load_newest()
    return found and (found[0].name, found[1]["iteration"])


def test_the_last_two_are_kept(content: Callable, tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=None)
    assert newest(store) is None
    for iteration in (1, 2, 3):
        store.save_last(content(iteration))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.pt", "previous.pt"]
    assert newest(store) == ("last.pt", 3)
    store.last.unlink()
    assert newest(store) == ("previous.pt", 2)


@pytest.mark.parametrize(("keep", "kept"), [(None, [1, 2, 10, 1_000_000]), (2, [10, 1_000_000]), (0, [])])
def test_keep_bounds_the_periodic_ones(keep: int | None, kept: list[int], content: Callable, tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep)
    for iteration in (1, 2, 10, 1_000_000):
        store.save_last(content(iteration))
        store.save_periodic(content(iteration))
    assert store.periodic() == [store.periodic_path(iteration) for iteration in kept]
    assert {"last.pt", "previous.pt"} <= {path.name for path in tmp_path.iterdir()}


def test_periodic_ones_help_where_the_last_two_are_damaged(content: Callable, tmp_path: Path) -> None:
    said: list[str] = []
    store = CheckpointStore(tmp_path, keep=None, say=said.append)
    for iteration in (2, 4):
        store.save_last(content(iteration))
        store.save_periodic(content(iteration))
    for path in (store.last, store.previous, store.periodic_path(4)):
        path.write_bytes(b"")
    assert newest(store) == ("iter_000002.pt", 2)
    assert len(said) == 3
    assert sorted(path.name for path in tmp_path.glob("*.damaged")) == [
        "iter_000004.pt.damaged", "last.pt.damaged", "previous.pt.damaged",
    ]  # fmt: skip


def test_a_checkpoint_that_must_not_be_read_is_not_called_damaged(
    content: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = CheckpointStore(tmp_path, keep=None)
    store.save_last(content(1))
    store.save_last(content(2))

    def refused(path: Path) -> None:
        raise PermissionError("not yours")

    monkeypatch.setattr("rgan_bench.run.checkpoint._check_sums", refused)
    with pytest.raises(UserError, match=r"last\.pt: cannot be opened \(not yours\)"):
        store.load_newest()
    assert store.last.exists()


def test_killed_between_the_two_renames(content: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    store = CheckpointStore(run / "checkpoints", keep=None)
    store.save_last(content(1))
    store.last.replace(store.previous)
    (store.folder / ".last.pt.123.tmp").write_bytes(b"half")
    assert last_checkpoint(run) == store.previous
    assert newest(store) == ("previous.pt", 1)
    store.clear_leftovers()
    assert [path.name for path in store.folder.iterdir()] == ["previous.pt"]


def test_a_failed_save_leaves_both_as_they_were(
    content: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = CheckpointStore(tmp_path, keep=None)
    store.save_last(content(1))
    store.save_last(content(2))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(path: Path, saved: dict, previous: Path) -> None:
        def write(file: object) -> None:
            file.write(b"some")
            raise OSError(28, "No space left on device")

        write_atomically(path, write, previous=previous)

    monkeypatch.setattr(module, "save_checkpoint", full)
    with pytest.raises(UserError, match=r"cannot save iteration 3 \(.*No space left on device\); free some space"):
        store.save_last(content(3))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
