"""Prints what each score says of real images against others, the same blurred, and noise: the table of docs/scores.md.

python -m scripts.score_ladder cifar10-jpeg-train.zip --features efficientnet-lite0,efficientnet-lite1,pixels
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from torchvision.transforms.functional import gaussian_blur

from rgan_bench.config.schema import FAMILIES, FidConfig, LimitsConfig
from rgan_bench.config.validate import root_defaults
from rgan_bench.data.dataset import ImageDataset
from rgan_bench.data.folder import load_images
from rgan_bench.rng import draw_distinct, stream
from rgan_bench.scoring.protocol import Measured
from rgan_bench.scoring.scorer import Scorer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("--features", default="pixels")
    parser.add_argument("--count", type=int, default=5000, help="images of each set")
    arguments = parser.parse_args()
    limits = LimitsConfig(**root_defaults()["limits"])
    images = load_images(arguments.images, None, limits).images
    chosen = images[draw_distinct(2 * arguments.count, len(images), stream(0, "scripts/ladder"))]
    real, others = chosen.split(arguments.count)
    blurred = {sd: gaussian_blur(others, 2 * round(3 * sd) + 1, [sd, sd]) for sd in (0.5, 1.0)}
    sets = {
        "others": others,
        **{f"blurred, σ {sd:g} px": each for sd, each in blurred.items()},
        "a tenth, ten times": others[: arguments.count // 10].repeat(10, 1, 1, 1),
        "noise": torch.randint(0, 256, others.shape, dtype=torch.uint8, generator=stream(0, "scripts/noise")),
    }
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data = ImageDataset.from_images("folder", str(arguments.images), real).to(device)
    print("| score | " + " | ".join(sets) + " |\n|" + "---|" * (1 + len(sets)), flush=True)
    for features in arguments.features.split(","):
        metrics = [each for each in FAMILIES if each != "inception_score" or features == "inception"]
        fid = replace(FidConfig(**root_defaults()["fid"]), features=[features], metrics=metrics)
        scorer = Scorer(fid, data, device)
        found = [
            scorer.score_images(ImageDataset.from_images("folder", name, each).to(device))
            for name, each in sets.items()
        ]
        for score in found[0]:
            print(f"| {score} | " + " | ".join(shown(scores[score]) for scores in found) + " |", flush=True)


def shown(value: float) -> str:
    bar = next(iter(value.error.values()), None) if isinstance(value, Measured) else None
    return f"{value:.3g}" + (f" ± {bar:.1g}" if bar is not None else "")


if __name__ == "__main__":
    main()
