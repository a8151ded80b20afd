"""`python scripts/fuzz.py stops`: a signal at each tenth of a second of a process's life, with stderr open and gone.

Whatever comes when: no traceback, an exit status that tells the signal, and the same command ends where it would have.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from scripts.crash_test import SETTINGS, differences

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
# As the console script does it: from its first instruction on. What Python does before that is not ours.
TRAIN = [sys.executable, "-c", "from rgan_bench.cli.start import train; train()"]
LENGTH = ("train.iterations=120", "train.checkpoint_every=50", "train.sample_every=40", "fid.every=60")
TENTHS = 60  # of a second, in which such a run starts, trains and ends


def fuzz_stops(count: int, seed: int) -> dict[str, Any]:
    chance = random.Random(seed)
    moments = [(number, tenth, gone) for number in SIGNALS for tenth in range(1, TENTHS) for gone in (False, True)]
    chance.shuffle(moments)
    outcomes: Counter[str] = Counter()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as place:
        environment = {**os.environ, "RGAN_BENCH_CACHE": f"{place}/cache", "OMP_NUM_THREADS": "1"}
        whole = Path(place) / "whole"
        _again(whole, environment)
        for index, (number, tenth, gone) in enumerate(moments[:count]):
            root = Path(place) / str(index)
            name = f"{signal.Signals(number).name} after {tenth / 10} s, stderr {'gone' if gone else 'open'}"
            status, text = _stopped(root, number, tenth / 10, gone, environment)
            state = _state(root)
            kind = {0: "not ended by it", 128 + number: "left quietly", -number: "ended by it as any process"}
            outcomes[f"{state}: {kind.get(status, status)}"] += 1
            # Before a run begins and once it is finished a signal may end the process as it ends any other; Ctrl-C
            # leaves quietly before too. Afterwards Python itself is closing down, and hears nothing.
            as_any = (state == "not begun" and number != signal.SIGINT) or state == "finished"
            if status not in kind or (status == -number and not as_any):
                wrong.append(f"{name}: status {status}: {text[-500:]}")
            if "Traceback" in text:
                wrong.append(f"{name}: {text[-1000:]}")
            _again(root, environment)
            (one,), (other,) = whole.iterdir(), root.iterdir()
            if differences(one, other):
                wrong.append(f"{name}: called again, it differs in {differences(one, other)}")
    return {**dict(sorted(outcomes.items())), "wrong": wrong}


def _stopped(root: Path, number: int, seconds: float, gone: bool, environment: dict[str, str]) -> tuple[int, str]:
    """(exit status, stderr) of a run that got a signal after so long."""
    command = [*TRAIN, *SETTINGS, *LENGTH, f"output_root={root}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    if gone:
        process.stdout.close()
        process.stderr.close()
    time.sleep(seconds)
    process.send_signal(number)
    if gone:
        return process.wait(timeout=120), ""
    _, text = process.communicate(timeout=120)
    return process.returncode, text.decode(errors="replace")


def _state(root: Path) -> str:
    """What its result.json says of the run."""
    found = list(root.glob("*/result.json"))
    return json.loads(found[0].read_text())["status"] if found else "not begun"


def _again(root: Path, environment: dict[str, str]) -> None:
    command = [*TRAIN, *SETTINGS, *LENGTH, f"output_root={root}"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
