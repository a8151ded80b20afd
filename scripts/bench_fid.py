"""Scoring speed beside torch-fidelity's own command, on the same fakes and the same real images.

    python -m scripts.bench_fid --features inception --weights FILE --fakes 1000 --real 1000

Whole commands are timed, start-up included: `rgan-fid` draws the fakes from a checkpoint as it scores them, first with
no statistics of the real images at hand and then with those of the first call; torch-fidelity's `fidelity` gets the
same fakes and real images as folders of PNG files, whose writing is not in its time, also first without and then with
its own cache of the real images' statistics. Rounds alternate; shown are medians, slowest and fastest. The two scores
must agree. Below the table: which share of `rgan-fid`'s time lies inside the extractor, and where the rest goes.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scripts.bench_train import machine

OURS = [sys.executable, str(Path(__file__).with_name("fid_in_parts.py"))]
THEIRS = [sys.executable, str(Path(__file__).with_name("fidelity_with_ours.py"))]
EXTRACTORS = {"inception": "inception-v3-compat", "efficientnet-lite0": "efficientnet-lite0", "pixels": "pixels"}
Run = tuple[float, float, dict[str, float]]


def prepare(folder: Path, arguments: argparse.Namespace) -> None:
    """A checkpoint of an untrained generator, its fakes as rgan-fid will draw them, and real images."""
    import torch
    from hydra import compose, initialize_config_dir
    from torchvision.io import write_png

    from rgan_bench.config.validate import config_dir, validate
    from rgan_bench.data.load import load_data
    from rgan_bench.run.checkpoint import save_checkpoint
    from rgan_bench.scoring.sampling import sample
    from rgan_bench.training.state import TrainState

    overrides = ["data=demo", f"data.num_images={arguments.real}", f"fid.num_samples={arguments.fakes}"]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config = validate(compose("config", overrides=overrides))
    state = TrainState.new(config, torch.device("cpu"))
    save_checkpoint(folder / "generator.pt", {**state.state_dict(), "config": asdict(config)})
    fakes = sample(
        state.generator, arguments.fakes, seed=config.seed, purpose="score/latent", batch_norm="batch", batch_size=100
    )
    for name, batches in (("fakes", fakes), ("real", [load_data(config.data, config.limits).images])):
        (folder / name).mkdir()
        for index, image in enumerate(image for batch in batches for image in batch):
            write_png(image, str(folder / name / f"{index:06d}.png"))


def timed(command: list[str], folder: Path, environment: dict[str, str]) -> tuple[float, str]:
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=os.environ | environment)
    if done.returncode != 0:
        sys.exit(f"{command[2:]}: {done.stderr[-2000:]}")
    return time.perf_counter() - started, done.stdout


def ours(folder: Path, arguments: argparse.Namespace, cache: Path) -> Run:
    """(seconds, score, share of the seconds by part)"""
    command = [*OURS, "generator.pt", "--data", "real", "--features", arguments.features, "--json"]
    command += ["--device", arguments.device]
    if arguments.weights:
        command += ["--weights", str(arguments.weights.resolve())]
    parts = folder / "parts.json"
    seconds, text = timed(command, folder, {"RGAN_BENCH_CACHE": str(cache), "FID_PARTS": str(parts)})
    shares = {part: spent / seconds for part, spent in json.loads(parts.read_text()).items()}
    return seconds, json.loads(text)[0]["value"], shares | {"start-up and the rest": 1 - sum(shares.values())}


def theirs(folder: Path, arguments: argparse.Namespace, cache: Path, weights: Path | None) -> Run:
    """(seconds, score, nothing)"""
    command = [*THEIRS, "--fid", "--input1", "fakes", "--input2", "real", "--silent", "--json"]
    command += ["--feature-extractor", EXTRACTORS[arguments.features], "--cache-root", str(cache)]
    command += ["--input2-cache-name", "real", "--cpu" if arguments.device == "cpu" else "--gpu"]
    if arguments.device != "cpu":
        command.append(arguments.device.partition(":")[2] or "0")
    if weights:
        command += ["--feature-extractor-weights-path", str(weights.resolve())]
    if arguments.features == "pixels":
        command += ["--feature-layer-fid", "192"]
    seconds, text = timed(command, folder, {})
    return seconds, float(re.search(r"frechet_inception_distance\W+([-+.\de]+)", text)[1]), {}


def bench(arguments: argparse.Namespace) -> dict[str, Any]:
    weights = arguments.weights
    if arguments.features == "efficientnet-lite0":
        from rgan_bench.scoring.extractors.efficientnet import weights_of

        weights = weights_of("efficientnet-lite0")
    found: dict[str, list[Run]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, arguments)
        for number in range(arguments.rounds):
            caches = [folder / f"{whose}_{number}" for whose in ("ours", "theirs")]
            for state in ("cold", "real statistics cached"):
                found.setdefault(f"rgan-fid, {state}", []).append(ours(folder, arguments, caches[0]))
                found.setdefault(f"torch-fidelity, {state}", []).append(theirs(folder, arguments, caches[1], weights))
    rows = {
        name: {
            "seconds": statistics.median(seconds for seconds, *_ in runs),
            "slowest": max(seconds for seconds, *_ in runs),
            "fastest": min(seconds for seconds, *_ in runs),
            "score": runs[0][1],
            "shares": {part: statistics.median(run[2][part] for run in runs) for part in runs[0][2]},
        }
        for name, runs in found.items()
    }
    for row in rows.values():
        row["fakes_per_second"] = arguments.fakes / row["seconds"]
        row["ratio"] = rows["torch-fidelity, cold"]["seconds"] / row["seconds"]
        row["ratio_cached"] = rows["torch-fidelity, real statistics cached"]["seconds"] / row["seconds"]
    scores = [row["score"] for row in rows.values()]
    difference = (max(scores) - min(scores)) / abs(scores[0])
    settings = {name: value for name, value in vars(arguments).items() if name not in ("json", "weights")}
    return {"settings": settings, "rows": rows, "relative_difference": difference, **machine(arguments.device)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--features", choices=EXTRACTORS, default="inception")
    add("--weights", type=Path, help="Inception's (default: downloaded)")
    add("--fakes", type=int, default=1000)
    add("--real", type=int, default=1000)
    add("--rounds", type=int, default=3)
    add("--device", default="cpu", help="cpu, cuda or cuda:N")
    add("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    report = bench(arguments)
    print(f"{arguments.features}, {arguments.fakes:,} fakes, {arguments.real:,} real images, {arguments.rounds} rounds")
    print(f"{report['device']}, torch {report['torch']}")
    print(
        f"{'':<40}{'seconds':>9}{'fastest':>9}{'slowest':>9}{'fakes/s':>9}{'to cold':>9}{'to cached':>10}{'score':>14}"
    )
    for name, row in report["rows"].items():
        numbers = [row[key] for key in ("seconds", "fastest", "slowest", "fakes_per_second")]
        ratios = f"{row['ratio']:>9.2f}{row['ratio_cached']:>10.2f}"
        print(f"{name:<40}" + "".join(f"{number:>9.1f}" for number in numbers) + ratios + f"{row['score']:>14.6g}")
    for name, row in report["rows"].items():
        if row["shares"]:
            print(f"{name}: " + ", ".join(f"{part} {share:.1%}" for part, share in row["shares"].items()))
    print(f"scores differ by {report['relative_difference']:.1e}, relative")
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2, default=str) + "\n")


if __name__ == "__main__":
    main()
