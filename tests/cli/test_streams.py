"""Output may be gone, full, closed, or of another encoding. By whole processes, as the shell starts them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from rgan_bench import locks
from rgan_bench.locks import held
from rgan_bench.streams import Output
from tests.conftest import TINY

START = "from rgan_bench.cli.start import {0}; {0}()"
TRAIN = [sys.executable, "-c", START.format("train"), *TINY]
TABLE = [sys.executable, "-c", START.format("table")]


def only_run() -> Path:
    (folder,) = [path for path in Path("outputs").iterdir() if path.name != "multirun"]
    return folder


def status_of_run() -> str:
    return json.loads((only_run() / "result.json").read_text())["status"]


def wait_for(pattern: str, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while not list(Path().glob(pattern)):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.usefixtures("heard_signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGUSR2])
def test_a_stop_saves_though_nobody_reads_any_more(number: int) -> None:
    """`rgan-train … 2>&1 | tee log` and Ctrl-C, which ends tee too; a terminal that was closed."""
    endless = ["train.iterations=100000", "fid.every=null", "train.sample_every=null", "train.checkpoint_every=null"]
    with subprocess.Popen([*TRAIN, *endless], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            process.stdout.close()
            process.stderr.close()
            wait_for("outputs/*/metrics.jsonl", process)
            process.send_signal(number)
            assert process.wait(timeout=60) == 128 + number
        finally:
            process.kill()
    assert status_of_run() == "interrupted"
    saved = torch.load(only_run() / "checkpoints" / "last.pt", weights_only=True)["iteration"]
    assert saved == json.loads((only_run() / "result.json").read_text())["iteration"] > 0


@pytest.mark.parametrize("where", ["| head -1", "> /dev/full", ">&-", "2>&-", ">&- 2>&-", "2> /dev/full"])
def test_a_run_is_finished_wherever_its_words_go(where: str) -> None:
    shell = ["bash", "-o", "pipefail", "-c", f'"$@" {where}', "bash", *TRAIN]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert status_of_run() == "finished"
    assert "Error" not in done.stderr


def test_an_encoding_without_our_signs_does_no_harm() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(TRAIN, capture_output=True, env=environment, timeout=120)
    assert done.returncode == 0
    assert rb"200 images 32\xd732" in done.stdout
    done = subprocess.run([*TABLE, "outputs"], capture_output=True, env=environment, timeout=120)
    assert done.returncode == 0
    assert b"fd_pixels" in done.stdout


def test_help_into_a_pipe_that_closes() -> None:
    shell = ["bash", "-c", '"$@" | head -1', "bash", sys.executable, "-c", START.format("train"), "--help"]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("rgan-train: ")
    assert done.stderr == ""


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.3, 0.8, 1.5, 2.5])
def test_ctrl_c_leaves_quietly_from_the_first_instruction_on(seconds: float) -> None:
    """While it imports: torch would take the interrupt for a NumPy that is not there, and train on."""
    code = "import rgan_bench.cli.start as start; start.leave_at_once_on_interrupt(); print(flush=True); start.train()"
    arguments = [*TINY, "train.iterations=100000"]
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            process.stdout.readline()
            time.sleep(seconds)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "Traceback" not in err


def test_output_fails_once_and_then_takes_everything() -> None:
    read, write = os.pipe()
    output = Output(write, "stdout", tolerant=False)
    assert output.write(b"abc") == 3
    os.close(read)
    with pytest.raises(BrokenPipeError):
        output.write(b"abc")
    assert output.write(b"abc") == 3  # let go
    os.close(write)


def test_without_locks_that_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*arguments: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    said: list[str] = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        with held(tmp_path / name / ".lock", said.append):
            pass
    assert len(said) == 1
    assert "this file system has no locks (No locks available); going on without" in said[0]
