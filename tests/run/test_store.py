import errno
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from rgan_bench.config.schema import Config
from rgan_bench.errors import UserError
from rgan_bench.files import iteration_of, write_atomically
from rgan_bench.run import store as module
from rgan_bench.run.checkpoint import last_checkpoint, load_checkpoint
from rgan_bench.run.store import CheckpointStore
from rgan_bench.training.state import TrainState


@pytest.fixture
def content(tiny_config: Callable[..., Config]) -> Callable[[int], dict]:
    config = tiny_config()
    state = TrainState.new(config, torch.device("cpu"))
    return lambda iteration: {**state.state_dict(), "config": asdict(config), "iteration": iteration}


def save(store: CheckpointStore, content: dict) -> None:
    store.save_last(content)
    store.save_periodic(content)


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
        save(store, content(iteration))
    assert store.periodic() == [store.periodic_path(iteration) for iteration in kept]
    assert {"last.pt", "previous.pt"} <= {path.name for path in tmp_path.iterdir()}


def test_periodic_ones_help_where_the_last_two_are_damaged(content: Callable, tmp_path: Path) -> None:
    said: list[str] = []
    store = CheckpointStore(tmp_path, keep=None, say=said.append)
    for iteration in (2, 4, 6):
        save(store, content(iteration))
    for path in (store.last, store.previous):  # and with them the periodic ones that are the same files
        path.write_bytes(b"")
    assert newest(store) == ("iter_000002.pt", 2)
    assert len(said) == 4
    assert sorted(path.name for path in tmp_path.glob("*.damaged")) == [
        "iter_000004.pt.damaged", "iter_000006.pt.damaged", "last.pt.damaged", "previous.pt.damaged",
    ]  # fmt: skip


@pytest.mark.parametrize("links", [True, False])
def test_a_periodic_one_takes_no_room_of_its_own(
    links: bool, content: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is `last.pt` under a second name, where the file system has such names, and stays what it is."""

    def refused(*paths: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    if not links:
        monkeypatch.setattr(os, "link", refused)
    store = CheckpointStore(tmp_path, keep=None)
    for iteration in (2, 4):
        save(store, content(iteration))
        store.save_periodic(content(iteration))  # as after a kill: once more
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "iter_000002.pt", "iter_000004.pt", "last.pt", "previous.pt",
    ]  # fmt: skip
    assert store.last.samefile(store.periodic_path(4)) is links
    assert store.previous.samefile(store.periodic_path(2)) is links
    assert [load_checkpoint(store.periodic_path(n))["iteration"] for n in (2, 4)] == [2, 4]


def test_what_an_earlier_session_meant_to_keep_stays(content: Callable, tmp_path: Path) -> None:
    """A folder of train.keep=null, which was the default, goes on with 2: over several sessions."""
    said: list[str] = []
    everything = CheckpointStore(tmp_path, keep=None)
    for iteration in (1, 2, 3, 4):
        made = content(iteration)
        made["config"]["train"]["keep"] = None
        save(everything, made)
    for session in ((5,), (6, 7), (8,)):
        store = CheckpointStore(tmp_path, keep=2, say=said.append)
        store.spare(store.load_newest()[1])
        for iteration in session:
            save(store, {**content(iteration), "spared": store.spared})
    assert [iteration_of(path) for path in store.periodic()] == [1, 2, 3, 4, 7, 8]
    (line,) = said
    assert line.startswith(f"train.keep=2: holds from here on; the 4 checkpoints from before stay in {tmp_path}")


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
