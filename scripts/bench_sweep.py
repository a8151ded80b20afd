"""What a finished cell of a sweep costs: eight runs are trained and copied to further seeds, and the sweep over all of
them is called.

    OMP_NUM_THREADS=1 python scripts/bench_sweep.py --cells 1000

Works in a temporary folder, in processes of their own. Prints wall seconds and, since the machine may be busy, CPU
seconds; a sweep of one cell shows what the process takes anyway.
"""

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TRAIN = [sys.executable, "-m", "rgan_bench", "-m", "data=ring8", "fid.num_samples=100", "fid.every=1", "device=cpu"]
SHORT = ["train.iterations=1", "train.sample_every=null", "train.checkpoint_every=null"]
SWEPT = ["loss=sgan,rsgan,rasgan,lsgan", "optim.lr=5e-4,1e-3"]
COMBINATIONS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=1000, help=f"a multiple of {COMBINATIONS} (default: 1000)")
    parser.add_argument("--more", nargs="*", default=[], help="further overrides, such as hydra/launcher=joblib")
    options = parser.parse_args()
    seeds = options.cells // COMBINATIONS
    with tempfile.TemporaryDirectory() as place:
        seconds([*TRAIN, *SHORT, *SWEPT, *options.more], place)
        for folder in (Path(place) / "outputs").glob("*_seed1"):
            for seed in range(2, seeds + 1):
                copy = folder.with_name(folder.name.removesuffix("1") + str(seed))
                copy.mkdir()
                shutil.copy(folder / "result.json", copy)
        one = seconds([*TRAIN, *SHORT, "loss=sgan", "optim.lr=5e-4", *options.more], place)
        every = seconds([*TRAIN, *SHORT, *SWEPT, f"seed=range(1,{seeds + 1})", *options.more], place)
    cells = seeds * COMBINATIONS
    for kind, first, total in (("wall", one[0], every[0]), ("CPU", one[1], every[1])):
        further = (total - first) / (cells - 1)
        print(f"{kind:4}  {cells} finished cells: {total:.2f} s; one: {first:.2f} s; each further one: {further:.4f} s")


def seconds(command: list[str], place: str) -> tuple[float, float]:
    """Wall, and CPU."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=place, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stdout + done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return time.perf_counter() - began, cpu


if __name__ == "__main__":
    main()
