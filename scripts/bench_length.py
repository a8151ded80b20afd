"""Is a long run as fast at its end as at its beginning, and as small?

    python scripts/bench_length.py

Runs rgan-train, reads the speed from its metrics.jsonl (medians around both iterations) and its resident memory from
/proc. Linux.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TRAIN = [sys.executable, "-c", "from rgan_bench.cli.train import main; main()"]


def resident_megabytes(pid: int) -> float:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("override", nargs="*", help="further KEY=VALUE of rgan-train")
    parser.add_argument("--early", type=int, default=500)
    parser.add_argument("--late", type=int, default=5000)
    arguments = parser.parse_intermixed_args()
    window, every = arguments.early // 2, 25
    with tempfile.TemporaryDirectory() as root:
        overrides = [
            "data=demo", "arch.width=8", f"train.iterations={arguments.late + window}", f"train.log_every={every}",
            "train.sample_every=500", "train.checkpoint_every=1000", "train.keep=2", "fid.every=null",
            f"output_root={root}", *arguments.override,
        ]  # fmt: skip
        memory: dict[int, float] = {}
        with subprocess.Popen([*TRAIN, *overrides], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            lines: list[dict] = []
            while process.poll() is None:
                time.sleep(0.2)
                for path in Path(root).glob("*/metrics.jsonl"):
                    text = path.read_text()
                    lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
                reached = lines[-1]["iteration"] if lines else 0
                for mark in range(arguments.early, arguments.late + 1, arguments.early):
                    if reached >= mark and mark not in memory and process.poll() is None:
                        memory[mark] = resident_megabytes(process.pid)
        batch = json.loads(next(Path(root).glob("*/result.json")).read_text())["config"]["train"]["batch_size"]

    def rate(iteration: int) -> float:
        near = [line["images_per_second"] for line in lines if abs(line["iteration"] - iteration) <= window]
        return statistics.median(near) / batch

    early, late = rate(arguments.early), rate(arguments.late)
    print(f"discriminator steps/s around each {arguments.early:,}:", *(f"{rate(mark):.2f}" for mark in memory))
    print(f"late to early: {late / early:.3f}")
    print(f"resident MB at each {arguments.early:,}:", *(f"{value:.0f}" for value in memory.values()))


if __name__ == "__main__":
    main()
