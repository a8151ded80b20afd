"""What a run says that it takes, against what it takes."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from rgan_bench.cli import train as cli
from rgan_bench.config.schema import Config
from rgan_bench.run.experiment import Experiment
from rgan_bench.run.folder import RunFolder
from rgan_bench.run.space import Space, checkpoint_bytes
from rgan_bench.training.state import TrainState
from tests.conftest import TINY

Tiny = Callable[..., Config]


@pytest.mark.parametrize("keep", ["2", "null"])
def test_no_more_checkpoints_lie_there_at_any_time_than_said(
    keep: str, tiny_config: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """One that is half written counts, several names of one file do not. What is said of its size holds within 2 %."""
    config = tiny_config(f"train.keep={keep}", "train.iterations=11", "loss.penalty=lecam", "ema.half_life=20")
    folder, there = RunFolder.of(config), []

    def watching(descriptor: int, fsync: Callable = os.fsync) -> None:
        found = {path.stat().st_ino for path in (*folder.checkpoints.glob("*.pt"), *folder.checkpoints.glob(".*.tmp"))}
        there.append(len(found))
        fsync(descriptor)

    experiment = Experiment(config)
    space = Space.of(config, TrainState.new(config, torch.device("cpu")))  # before its first step, too
    folder.create()
    monkeypatch.setattr(os, "fsync", watching)
    experiment.run()
    assert max(there) == space.checkpoints == {"2": 3, "null": 6}[keep]
    assert space.grids == sum(1 for _ in folder.path.glob("samples*/*.png"))
    assert space.checkpoint == checkpoint_bytes(experiment.state)
    assert space.checkpoint == pytest.approx(experiment.store.last.stat().st_size, rel=0.02)


def test_a_run_that_does_not_fit_is_refused_before_anything_is_written(
    run_command: Callable, monkeypatch: pytest.MonkeyPatch, tiny_config: Tiny
) -> None:
    disk = SimpleNamespace(total=10**9, free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: disk)
    status, out, err = run_command(cli.main, *TINY, "train.iterations=6", "output_root=a/b")
    assert (status, out) == (2, "")
    assert err.startswith("rgan-train: error: output_root=a/b: this run takes about 2.")
    assert "has 1 MB free: free some, keep fewer (train.keep, train.checkpoint_every=null" in err
    assert err.count("\n") == 1
    assert not Path("a").exists()
    # What the remedy says helps; and what lies there already is not needed again.
    assert run_command(cli.main, *TINY, "train.checkpoint_every=null", "train.sample_every=null")[0] == 0
    disk.total = disk.free = 0  # as some network file systems say
    assert run_command(cli.main, *TINY, "train.iterations=6", "output_root=a/b")[0] == 0
    disk.total, disk.free = 10**9, 700_000
    assert run_command(cli.main, *TINY, "train.iterations=8", "output_root=a/b")[0] == 0
