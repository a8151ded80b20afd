"""Who gets which GPU. The GPUs are made believe; the locks, and the processes that hold them, are real."""

import multiprocessing
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from rgan_bench import ranks
from rgan_bench.config.schema import Config
from rgan_bench.errors import UserError
from rgan_bench.locks import held, is_held
from rgan_bench.run import experiment
from rgan_bench.training import accelerate, slots
from rgan_bench.training.slots import capturing, names, slot

FORK = multiprocessing.get_context("fork")  # what is made believe holds in the children too


class Cell:
    """A process that takes a slot and keeps it until it is killed."""

    def __init__(self, *arguments: object) -> None:
        self.told, writes = FORK.Pipe(duplex=False)
        self.process = FORK.Process(target=self.live, args=(writes, arguments), daemon=True)
        self.process.start()

    @staticmethod
    def live(writes: Connection, arguments: tuple) -> None:
        with slot(*arguments, say=writes.send):
            writes.send(torch.cuda.current_device())
            signal.pause()

    def tells(self) -> object:
        """What it says, or, once it has a slot, the number of its GPU."""
        assert self.told.poll(20)
        return self.told.recv()

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


@pytest.fixture(autouse=True)
def four_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    current = [0]

    def set_device(device: torch.device | int) -> None:
        current[0] = device if isinstance(device, int) else device.index

    for name, value in {
        "is_available": lambda: True,
        "device_count": lambda: 4,
        "current_device": lambda: current[0],
        "set_device": set_device,
        "get_device_properties": lambda index: SimpleNamespace(uuid=f"uuid{index}"),
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(slots, "LOOK_EVERY", 0.01)
    for variable, value in {"CUDA_VISIBLE_DEVICES": "", "CUDA_MPS_PIPE_DIRECTORY": str(tmp_path)}.items():
        monkeypatch.setenv(variable, value)


@pytest.fixture
def start() -> Iterator[Callable[..., Cell]]:
    cells: list[Cell] = []
    yield lambda *arguments: cells.append(Cell(*arguments)) or cells[-1]
    for cell in cells:
        cell.kill()


@pytest.fixture
def mps_runs(tmp_path: Path) -> None:
    """So that nobody is advised to start it."""
    (tmp_path / "control").touch()


def gpu_of(cell: Cell) -> int:
    told = cell.tells()
    assert isinstance(told, int), told
    return told


def test_eight_at_once_are_two_on_each_of_four_and_one_that_dies_frees_its_slot(
    start: Callable, mps_runs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = slots._holders
    with monkeypatch.context() as patch:  # looking takes a while, in which others begin to look
        patch.setattr(slots, "_holders", lambda gpu: (look(gpu), time.sleep(0.02))[0])
        cells = [start("auto") for _ in range(8)]
    gpus = [gpu_of(cell) for cell in cells]
    assert sorted(gpus) == [0, 0, 1, 1, 2, 2, 3, 3]
    cells[5].kill()
    cells.append(start("auto"))
    assert gpu_of(cells[-1]) == gpus[5]
    for cell in cells:
        cell.kill()
    torch.cuda.set_device(2)
    with slot("auto"):  # of those that are equally free, the one where this process is already
        assert torch.cuda.current_device() == 2
        with slot("auto"):
            assert torch.cuda.current_device() == 0
    assert not any(map(slots._holders, names()))


def test_with_a_limit_the_ones_above_it_wait_and_say_for_whom(start: Callable) -> None:
    cells = [start("auto", 1) for _ in range(5)]
    told = [cell.tells() for cell in cells]
    (waiting,) = (cell for cell, what in zip(cells, told, strict=True) if isinstance(what, str))
    holders = [cell for cell in cells if cell is not waiting]
    (line,) = (what for what in told if isinstance(what, str))
    for cell in holders:
        assert f"process {cell.process.pid} on " in line
    assert "device=auto: waiting, there are cells_per_gpu=1 or more on each GPU" in line
    assert not waiting.told.poll(0.1)  # said once
    holders[2].kill()
    assert gpu_of(waiting) == told[cells.index(holders[2])]


def test_a_gpu_that_is_named_is_taken_at_once_and_seen_by_auto(start: Callable) -> None:
    first, second = start("cuda:0", None), start("cuda:1", None)
    assert (gpu_of(first), gpu_of(second)) == (0, 1)
    third = start("cuda:1", None)
    shared = third.tells()
    assert shared.startswith(f"device=cuda:1: cuda:1 is shared with process {second.process.pid} on ")
    assert "scripts/mps.sh start" in shared
    assert gpu_of(third) == 1
    assert gpu_of(start("cuda:1", 4)) == 1  # the fourth says it no more
    assert [gpu_of(start("auto")) for _ in range(2)] == [2, 3]
    with pytest.raises(UserError, match="device=cuda:4: there are 4 CUDA devices here"), slot("cuda:4"):
        pass


def test_a_rank_holds_the_gpu_that_it_has(monkeypatch: pytest.MonkeyPatch, mps_runs: None, tmp_path: Path) -> None:
    monkeypatch.setattr(ranks, "_world", ranks.World(number=1, count=2))
    torch.cuda.set_device(3)
    with slot("auto"), slot("auto"), capturing():
        assert torch.cuda.current_device() == 3
        assert len(slots._holders("uuid3")) == 2
    assert not list(tmp_path.rglob("*.capturing"))  # for which ranks of two runs would wait, and these for each other


def test_a_gpu_has_one_name_however_it_is_numbered(monkeypatch: pytest.MonkeyPatch) -> None:
    assert names() == ["uuid0", "uuid1", "uuid2", "uuid3"]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid=f"uuid{3 - index}"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,2")
    assert names() == ["uuid3", "uuid2"]
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid="0000"))
    assert names() == ["0000_3", "0000_2"]  # drivers that give none
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert names() == ["0000_0", "0000_1"]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-GPU-5c6e/1/0")
    assert names() == ["0000_MIG-GPU-5c6e_1_0"]  # slices of one GPU


def test_other_users_are_counted_and_their_folders_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / f"{slots.FOLDER}4711"
    theirs.mkdir()
    with held(theirs / "uuid0.0"), slot("auto"):
        assert torch.cuda.current_device() == 1
    monkeypatch.setattr(slots.os, "getuid", lambda: 4711)
    before = sorted(theirs.iterdir())
    said: list[str] = []
    with slot("auto", None, said.append):
        (line,) = said
    assert line.startswith("warning: device=auto: other cells do not see this one, ")
    with pytest.raises(UserError, match=rf"cells_per_gpu=2: .* \({theirs} is another user's\); set TMPDIR"):
        slot("auto", 2).__enter__()
    assert sorted(theirs.iterdir()) == before


def test_captures_on_one_gpu_are_one_after_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Another process holds the lock of cuda:0 until it has waited for it; that of cuda:1 is had at once."""
    seen: list[bool] = []

    def graphed(*arguments: object) -> None:
        seen.extend(is_held(path) for path in tmp_path.rglob("*.capturing"))

    monkeypatch.setattr(accelerate, "Graphed", graphed)
    accelerate.Accelerator("graphs", torch.device("cuda")).prepare(None, None, (), ())
    assert seen == [True]
    holds, frees = FORK.Event(), FORK.Event()

    def capture() -> None:
        with capturing():
            holds.set()
            frees.wait(20)

    def capture_too(ended: Connection) -> None:
        with capturing():
            ended.send(frees.is_set())

    first = FORK.Process(target=capture)
    first.start()
    assert holds.wait(20)
    told, ended = FORK.Pipe(duplex=False)
    second = FORK.Process(target=capture_too, args=(ended,))
    second.start()
    torch.cuda.set_device(1)
    with capturing():
        assert not told.poll(0.2)
    frees.set()
    assert told.poll(20)
    assert told.recv() is True
    first.join()
    second.join()


def test_a_run_holds_a_slot_while_it_lives(monkeypatch: pytest.MonkeyPatch, tiny_config: Callable[..., Config]) -> None:
    seen: list[object] = []

    def live(*arguments: object) -> None:
        seen.extend([torch.cuda.current_device(), len(slots._holders("uuid2"))])

    monkeypatch.setattr(experiment, "_live", live)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: seen.append(len(slots._holders("uuid2"))))
    with slot("cuda:0"), slot("cuda:1"):
        experiment.run_experiment(tiny_config("device=auto", "cells_per_gpu=1"))
        assert seen == [2, 1, 1]  # its memory is given back before its slot is
    assert not slots._holders("uuid2")


def test_a_limit_that_cannot_be_kept_is_refused(tiny_config: Callable[..., Config]) -> None:
    with pytest.raises(UserError, match=r"cells_per_gpu=0: must be at least 1, or null for no limit"):
        tiny_config("cells_per_gpu=0")
    with pytest.raises(UserError, match=r"cells_per_gpu=2: with devices=2 each rank has the GPU of its number"):
        tiny_config("cells_per_gpu=2", "devices=2")
