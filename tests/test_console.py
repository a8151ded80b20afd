"""What people see while a run goes on, on a terminal of 80 columns and in a log."""

import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from fcntl import ioctl

import pytest

from rgan_bench.console import Progress, counted, fitting, silent, speak_as, tell

TRAINING = """
from rgan_bench.console import Progress
with Progress(0, 100_000) as progress:
    progress.bar.mininterval = 0
    for iteration in range(1, 4):
        progress.step()
        progress.note({"it/s": 123.4, "D": 0.01234, "G": 11.07})
        progress.scores({"fd_efficientnet-lite0": 1234.5, "kd_efficientnet-lite0": 0.01234, "fd_pixels": 0.5123})
    progress.bar.refresh()
"""


def on_a_terminal(code: str, columns: int) -> str:
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        shown += part
    assert process.wait() == 0
    os.close(ours)
    return shown.decode()


def test_a_bar_of_80_columns_shows_whole_numbers() -> None:
    shown = on_a_terminal(TRAINING, 80)
    bars = [part for part in re.split(r"[\r\n]", shown) if "it/s" in part and "|" in part]
    assert "D 0.01234, G 11.07]" in bars[-1]
    assert all(len(bar) <= 80 for bar in bars)
    # All scores stand in lines of their own above it, as often as there were some.
    assert shown.count("fd_efficientnet-lite0 1234  kd_efficientnet-lite0 0.01234  fd_pixels 0.5123") == 3
    assert "fd_efficientnet-lite0 1234]" in on_a_terminal(TRAINING, 120)


def test_what_does_not_fit_beside_the_bar_is_left_out_whole() -> None:
    assert fitting(["D 1", "G 2", "a_very_long_score 3", "kid 4"], 80, 1000) == "D 1, G 2, kid 4"
    assert fitting(["D 1"], 40, 1000) == ""


def test_a_log_has_each_score_once(capsys: pytest.CaptureFixture) -> None:
    with Progress(0, 10) as progress:
        progress.note({"D": 1.0}, at_once=True)
        progress.scores({"fid": 2.5, "kid": 0.5})
        progress.step()
        progress.note({"D": 0.5}, at_once=True)
        progress.scores({})
    assert capsys.readouterr().err.splitlines() == [
        "iteration 0/10  D 1",
        "iteration 0/10  fid 2.5  kid 0.5",
        "iteration 1/10  D 0.5",
    ]


def test_runs_side_by_side_sign_their_lines(capsys: pytest.CaptureFixture) -> None:
    speak_as("run_a")
    try:
        with Progress(0, 10) as progress:
            progress.scores({"fid": 2.5})
        tell("done")
    finally:
        speak_as("")
    assert capsys.readouterr() == ("run_a: done\n", "run_a: iteration 0/10  fid 2.5\n")
    with silent():
        tell("nobody hears this")
    assert capsys.readouterr().out == ""


def test_what_takes_long_is_announced_in_a_log(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr("rgan_bench.console.time.perf_counter", lambda: next(clock))
    assert list(counted([[0] * 10] * 3, 30, "scoring")) == [[0] * 10] * 3
    list(counted([[0] * 10] * 3, 20, "scoring"))  # a second at most for the rest
    assert capsys.readouterr().err == ""
    list(counted([[0] * 10] * 5, 50, "scoring"))
    assert capsys.readouterr().err == "scoring: 50 images, about 4 s\n"
