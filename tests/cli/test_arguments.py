"""What newcomers type, and what they are told."""

import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import rgan_bench
from rgan_bench.cli import fid, prepare_cat, runs, sample, table, train
from tests.conftest import TINY


@pytest.fixture
def rgan_train(run_command: Callable[..., tuple[int, str, str]]) -> Callable[..., tuple[int, str, str]]:
    return partial(run_command, train.main)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--loss", "rasgan"], "--loss: no option of rgan-train, .*; write loss=rasgan "),
        (["--optim.lr=1e-4"], "--optim.lr=1e-4: .*; write optim.lr=1e-4 "),
        (["--batch-size", "3"], "--batch-size: .*; write fid.batch_size=3 or train.batch_size=3 "),
        (["--deterministic", "-m"], "--deterministic: .*; write deterministic=VALUE "),
        (["--gpu"], "--gpu: .*; write KEY=VALUE "),
        (["sweep=table1"], "sweep=table1: is a sweep of several runs .*; add -m to rgan-train"),
        (["loss", "rasgan"], "loss: not an override .*; write KEY=VALUE"),
    ],
)
def test_other_tools_ways_get_one_line(arguments: list[str], message: str, rgan_train: Callable) -> None:
    status, out, err = rgan_train(*arguments)
    assert (status, out) == (2, "")
    assert re.match(f"rgan-train: error: {message}", err), err
    assert err.count("\n") == 1
    assert not Path("outputs").exists()


@pytest.mark.parametrize("command", [train, fid, table, sample, runs, prepare_cat])
def test_the_version(command: object, run_command: Callable) -> None:
    assert run_command(command.main, "--version") == (0, f"rgan_bench {rgan_bench.__version__}\n", "")


def test_m_may_stand_between_overrides(rgan_train: Callable) -> None:
    status, out, _ = rgan_train("data=ring8", "-m", "seed=1,2", "train.iterations=1", "fid.every=null")
    assert status == 0
    assert "2 of 2 cells are finished" in out


def test_python_m_is_rgan_train() -> None:
    done = subprocess.run([sys.executable, "-m", "rgan_bench", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"rgan_bench {rgan_bench.__version__}\n"


def test_what_is_asked_of_a_finished_run_is_answered_truthfully(rgan_train: Callable) -> None:
    assert rgan_train(*TINY, "train.checkpoint_every=3")[0] == 0
    (folder,) = (path for path in Path("outputs").iterdir())
    status, _, err = rgan_train(*TINY, "train.iterations=3")
    assert status == 2
    assert (
        f"was not scored after 3 as is asked for; to score what it was then: rgan-fid {folder}/checkpoints/iter_" in err
    )
    assert "output_root=PLACE" in rgan_train(*TINY, "train.iterations=1")[2]

    status, out, _ = rgan_train(*TINY, "fid.every=1")
    assert status == 0
    assert f"it was not scored at 1, 3, and will not be now; rgan-fid {folder} --all" in out
    status, out, _ = rgan_train(*TINY, "fid.num_samples=100")
    assert status == 0
    assert "none, iteration 4 is reached; scores that are missing there" in out
