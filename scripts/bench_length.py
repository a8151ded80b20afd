"""Is a long run as fast at its end as at its beginning, and as small?

    python scripts/bench_length.py

A run of rgan-train goes on alone until it is late; then, one after another, some more with the same settings but the
seed, until they are early. From there all take turns (those whose turn it is not are stopped by SIGSTOP), so that a
machine whose speed changes is the same for all. Several early ones, since processes differ: how the memory of each lies
is chance. Speeds are read from metrics.jsonl, resident memory from /proc. Linux.
"""

import argparse
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

TRAIN = [sys.executable, "-c", "from rgan_bench.cli.train import main; main()"]
LOG_EVERY = 10
LINES = 4  # of metrics.jsonl in a turn; the first one's time includes the pause


class Run:
    """An rgan-train under way."""

    def __init__(self, root: Path, overrides: list[str]) -> None:
        self.root = root
        self.lines: list[dict] = []
        self.offset = 0
        self.process = subprocess.Popen(
            [*TRAIN, *overrides, f"output_root={root}"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    def read(self) -> list[dict]:
        """All lines so far. Reads only what is new: else watching a long run would cost it more than a short one."""
        for path in self.root.glob("*/metrics.jsonl"):
            with path.open() as file:
                file.seek(self.offset)
                new = file.read()
            whole = new[: new.rfind("\n") + 1]
            self.offset += len(whole)
            self.lines += [json.loads(line) for line in whole.splitlines()]
        return self.lines

    def wait_for(self, enough: Callable[[list[dict]], bool]) -> list[dict]:
        while not enough(lines := self.read()):
            if self.process.poll() is not None:
                sys.exit(f"rgan-train ended with {self.process.returncode}: {self.process.stderr.read()[-2000:]}")
            time.sleep(0.2)
        return lines

    def reach(self, iteration: int) -> None:
        self.wait_for(lambda lines: bool(lines) and lines[-1]["iteration"] >= iteration)

    def turn(self) -> float:
        """Images a second, while the other one is stopped."""
        before = len(self.read())
        self.process.send_signal(signal.SIGCONT)
        lines = self.wait_for(lambda lines: len(lines) >= before + LINES)
        self.process.send_signal(signal.SIGSTOP)
        return statistics.median(line["images_per_second"] for line in lines[before + 1 :])

    def resident_megabytes(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        (line,) = [line for line in status if line.startswith("VmRSS")]
        return int(line.split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("override", nargs="*", help="further KEY=VALUE of rgan-train")
    parser.add_argument("--early", type=int, default=500)
    parser.add_argument("--late", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=15, help="turns of each")
    parser.add_argument("--against", type=int, default=3, help="early runs")
    arguments = parser.parse_intermixed_args()
    half = arguments.rounds * LINES * LOG_EVERY // 2  # the turns lie around the iteration that was asked for
    overrides = [
        "data=demo", "arch.width=8", "train.iterations=20000000", f"train.log_every={LOG_EVERY}",
        "train.sample_every=500", "train.checkpoint_every=1000", "train.keep=2", "fid.every=null",
        *arguments.override,
    ]  # fmt: skip
    runs: dict[str, Run] = {}
    memory: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            runs["late"] = late = Run(Path(folder, "late"), [*overrides, "seed=0"])
            for mark in range(arguments.early, arguments.late - half + 1, arguments.early):
                late.reach(mark)
                memory.append(late.resident_megabytes())
            late.reach(max(1, arguments.late - half))
            late.process.send_signal(signal.SIGSTOP)
            for number in range(1, arguments.against + 1):
                runs[f"early {number}"] = run = Run(Path(folder, str(number)), [*overrides, f"seed={number}"])
                run.reach(max(1, arguments.early - half))
                run.process.send_signal(signal.SIGSTOP)
            rates: dict[str, list[float]] = {name: [] for name in runs}
            for number in range(arguments.rounds):
                for name in list(runs) if number % 2 == 0 else reversed(runs):
                    rates[name].append(runs[name].turn())
            reached = {name: run.lines[-1]["iteration"] for name, run in runs.items()}
            memory.append(late.resident_megabytes())
        finally:
            for run in runs.values():
                run.process.kill()
                run.process.wait()
    print(f"{'':10}{'images/s':>10}{'slowest':>10}{'fastest':>10}{'late to it':>12}  up to iteration")
    for name, found in rates.items():
        numbers = "".join(f"{value:>10.1f}" for value in (statistics.median(found), min(found), max(found)))
        ratio = statistics.median(one / other for one, other in zip(rates["late"], found, strict=True))
        print(f"{name:10}{numbers}{ratio:>12.3f}  {reached[name]:,}")
    print(f"resident MB of the long run, from iteration {arguments.early:,} on:", *(f"{each:.0f}" for each in memory))


if __name__ == "__main__":
    main()
