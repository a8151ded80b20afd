"""Kills a training run with SIGKILL again and again, at random moments, and shows that nothing was lost.

    python scripts/crash_test.py --kills 200

The run saves a checkpoint at every iteration. After each kill every checkpoint in its folder must load, and the same
command must go on. At the end weights, optimizers, scores, metrics.jsonl and sample grids must equal those of a run
that nobody killed. Prints a table; the exit status is 1 where anything is not as it must be.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from rgan_bench.errors import UserError
from rgan_bench.run.checkpoint import load_checkpoint
from rgan_bench.training.state import TrainState

TRAIN = [sys.executable, "-c", "from rgan_bench.cli.train import main; main()"]
SETTINGS = [
    "data=demo", "data.num_images=200", "arch.width=2", "train.batch_size=8", "device=cpu",
    "train.log_every=1", "train.checkpoint_every=1", "train.keep=3", "train.sample_every=4",
    "fid.features=[pixels]", "fid.every=5", "fid.num_samples=200", "fid.batch_size=50",
]  # fmt: skip


@dataclass
class Report:
    """
    Attributes:
        writing: kills that left a file half written, under its temporary name.
        unreadable: checkpoints that did not load after a kill.
        lost: kills after which the newest checkpoint was of an earlier iteration than before.
        stuck: starts that ended by themselves, instead of going on.
        different: what differs from the run that nobody killed.
    """

    kills: int = 0
    while_starting: int = 0
    while_training: int = 0
    writing: int = 0
    checkpoints_read: int = 0
    unreadable: list[str] = field(default_factory=list)
    lost: int = 0
    stuck: list[str] = field(default_factory=list)
    iterations: int = 0
    seconds: float = 0.0
    different: list[str] = field(default_factory=list)

    @property
    def nothing_lost(self) -> bool:
        return not (self.unreadable or self.lost or self.stuck or self.different)


def crash(root: Path, kills: int, seed: int = 0, settings: list[str] = SETTINGS) -> Report:
    """Starts and kills the run so many times, lets it finish, and compares it with one that was left alone."""
    report, chance, began = Report(), random.Random(seed), time.monotonic()
    killed, alone = root / "killed", root / "alone"
    newest = 0
    for _ in range(kills):
        start_and_kill(killed, settings, chance, report)
        (folder,) = killed.iterdir() if killed.exists() else [None]
        if folder is None:
            continue
        report.writing += bool(list(folder.rglob(".*.tmp")))
        found = readable_iterations(folder, report)
        report.lost += max(found, default=0) < newest
        newest = max(found, default=0)
    report.iterations = newest + 5
    for place in (killed, alone):
        arguments = [*settings, f"train.iterations={report.iterations}", f"output_root={place}"]
        done = subprocess.run([*TRAIN, *arguments], capture_output=True, text=True)
        if done.returncode != 0:
            report.stuck.append(done.stderr[-500:])
    if not report.stuck:
        report.different = differences(*(next(place.iterdir()) for place in (killed, alone)))
    report.seconds = time.monotonic() - began
    return report


def start_and_kill(root: Path, settings: list[str], chance: random.Random, report: Report) -> None:
    """One start, which ends with SIGKILL: one in six while it starts, the others up to half a second into training."""
    arguments = [*settings, "train.iterations=20000", f"output_root={root}"]
    before = newest_result(root)
    with subprocess.Popen(
        [*TRAIN, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        starting = chance.random() < 1 / 6
        if starting:
            time.sleep(chance.uniform(0, 3))
        else:
            deadline = time.monotonic() + 120
            while newest_result(root) == before and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.002)
            time.sleep(chance.uniform(0, 0.5))
        if process.poll() is None:
            process.kill()
            report.kills += 1
            report.while_training += newest_result(root) != before
            report.while_starting += newest_result(root) == before
        else:
            report.stuck.append(process.stderr.read()[-500:])


def newest_result(root: Path) -> int:
    """Changes when a run begins to train, and not while it starts."""
    return max((path.stat().st_mtime_ns for path in root.glob("*/result.json")), default=0)


def readable_iterations(folder: Path, report: Report) -> list[int]:
    found = []
    for path in sorted((folder / "checkpoints").glob("*.pt")):
        try:
            found.append(load_checkpoint(path)["iteration"])
            report.checkpoints_read += 1
        except UserError as error:
            report.unreadable.append(str(error))
    if (folder / "result.json").exists():
        json.loads((folder / "result.json").read_text())
    return found


def differences(one: Path, two: Path) -> list[str]:
    """What two run folders do not have in common, speeds, times and places aside."""
    a, b = (load_checkpoint(folder / "checkpoints" / "last.pt") for folder in (one, two))
    found = [
        f"{part} in last.pt"
        for part in (*TrainState.MODULES, "generator_ema", "memory", "scores")
        if not same(a.get(part), b.get(part))
    ]
    if metrics(one) != metrics(two):
        found.append("metrics.jsonl")
    grids = [{path.parts[-2:]: path.read_bytes() for path in folder.glob("samples*/*")} for folder in (one, two)]
    if grids[0] != grids[1]:
        found.append("samples")
    return found


def same(one: Any, two: Any) -> bool:
    """Bit for bit, through dictionaries and lists."""
    if isinstance(one, torch.Tensor):
        return isinstance(two, torch.Tensor) and torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(two) and all(same(*pair) for pair in zip(one, two, strict=True))
    return one == two


def metrics(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if not name.endswith("_per_second")} for line in lines]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        report = crash(Path(root), arguments.kills, arguments.seed)
    for name, value in asdict(report).items():
        shown = (len(value), *value[:3]) if isinstance(value, list) else (round(value, 1),)
        print(f"{name.replace('_', ' '):<18}", *shown)
    print("nothing was lost" if report.nothing_lost else "SOMETHING WAS LOST")
    sys.exit(not report.nothing_lost)


if __name__ == "__main__":
    main()
