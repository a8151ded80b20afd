"""Is a long run as fast at its end as at its beginning, and as small?

    python scripts/bench_length.py

A run of rgan-train goes on alone until it is late; then a second one, with the same settings but its seed, until it is
early. From there they take turns (one is stopped by SIGSTOP while the other runs), so that a machine whose speed
changes is the same for both. Speeds are read from metrics.jsonl, resident memory from /proc. Linux.
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
        self.process = subprocess.Popen(
            [*TRAIN, *overrides, f"output_root={root}"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    def lines(self) -> list[dict]:
        text = "".join(path.read_text() for path in self.root.glob("*/metrics.jsonl"))
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def wait_for(self, enough: Callable[[list[dict]], bool]) -> list[dict]:
        while not enough(lines := self.lines()):
            if self.process.poll() is not None:
                sys.exit(f"rgan-train ended with {self.process.returncode}: {self.process.stderr.read()[-2000:]}")
            time.sleep(0.05)
        return lines

    def reach(self, iteration: int) -> None:
        self.wait_for(lambda lines: bool(lines) and lines[-1]["iteration"] >= iteration)

    def turn(self) -> float:
        """Images a second, while the other one is stopped."""
        before = len(self.lines())
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
    arguments = parser.parse_intermixed_args()
    half = arguments.rounds * LINES * LOG_EVERY // 2  # the turns lie around the iteration that was asked for
    overrides = [
        "data=demo", "arch.width=8", "train.iterations=1000000000", f"train.log_every={LOG_EVERY}",
        "train.sample_every=500", "train.checkpoint_every=1000", "train.keep=2", "fid.every=null",
        *arguments.override,
    ]  # fmt: skip
    runs: dict[str, Run] = {}
    memory: list[float] = []
    rates: dict[str, list[float]] = {"early": [], "late": []}
    with tempfile.TemporaryDirectory() as folder:
        try:
            runs["late"] = Run(Path(folder, "late"), [*overrides, "seed=1"])
            for mark in range(arguments.early, arguments.late + 1, arguments.early):
                if mark > arguments.late - half:
                    break
                runs["late"].reach(mark)
                memory.append(runs["late"].resident_megabytes())
            runs["late"].reach(max(1, arguments.late - half))
            runs["late"].process.send_signal(signal.SIGSTOP)
            runs["early"] = Run(Path(folder, "early"), [*overrides, "seed=2"])
            runs["early"].reach(max(1, arguments.early - half))
            runs["early"].process.send_signal(signal.SIGSTOP)
            for number in range(arguments.rounds):
                for name in list(rates) if number % 2 == 0 else reversed(rates):
                    rates[name].append(runs[name].turn())
            reached = {name: run.lines()[-1]["iteration"] for name, run in runs.items()}
            memory.append(runs["late"].resident_megabytes())
        finally:
            for run in runs.values():
                run.process.kill()
                run.process.wait()
    for name, found in rates.items():
        print(
            f"{name}, to iteration {reached[name]:,}: {statistics.median(found):.1f} images/s, "
            f"slowest {min(found):.1f}, fastest {max(found):.1f}"
        )
    ratios = sorted(late / early for late, early in zip(rates["late"], rates["early"], strict=True))
    low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
    print(
        f"late to early: {statistics.median(ratios):.3f} (median of {len(ratios)}, quartiles {low:.3f} to {high:.3f})"
    )
    print(f"resident MB of the long run, from iteration {arguments.early:,} on:", *(f"{each:.0f}" for each in memory))


if __name__ == "__main__":
    main()
