"""How far off the expected best of k trials is, and how often its interval holds it: searches whose truth is known.

    python -m scripts.simulate_search --searches 1000

Prints the table that docs/statistics.md has. A trial draws its place on [0, 1). It scores 20 at the best place, 0.6,
and more with the square of the distance, up to 100 at 0; and noise. Beyond 0.9 it diverges, and counts as 100.
"""

import argparse
from statistics import fmean

import numpy as np

from rgan_bench.report.budget import MEANT, budgets, expected_best

BEST, DIVERGES, WORST = 0.6, 0.9, 100.0
NOISES = {"no noise": 0.0, "noise with SD 5": 5.0}
TRIALS = (8, 20, 50)


def search(rng: np.random.Generator, noise: float, *shape: int) -> np.ndarray:
    """Scores of trials."""
    place = rng.random(shape)
    scores = 20 + 80 * ((place - BEST) / BEST) ** 2 + noise * rng.standard_normal(shape)
    return np.where(place > DIVERGES, WORST, scores)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=1000, help="of each row (default: 1000)")
    count = parser.parse_args().searches
    print("| trials | of k | true | mean of the estimates | with replacement | interval holds the truth |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, noise in NOISES.items():
        for trials in TRIALS:
            rng = np.random.default_rng(trials)
            searches = search(rng, noise, count, trials).tolist()
            for k in budgets(trials):
                truth = float(search(rng, noise, 100_000, k).min(axis=1).mean())
                found = [expected_best(scores, k, higher=False) for scores in searches]
                replaced = fmean(with_replacement(scores, k) for scores in searches)
                held = "—"
                if trials >= MEANT * k:
                    inside = [each.interval[0] <= truth <= each.interval[1] for each in found if each.interval]
                    held = f"{100 * fmean(inside):.0f} %"
                mean = fmean(each.value for each in found)
                print(f"| {trials}, {name} | {k} | {truth:.2f} | {mean:.2f} | {replaced:.2f} | {held} |", flush=True)


def with_replacement(scores: list[float], k: int) -> float:
    """The estimator of Dodge et al. 2019."""
    below = (len(scores) - np.arange(len(scores))) / len(scores)
    return float(np.sort(scores) @ (below**k - (below - 1 / len(scores)) ** k))


if __name__ == "__main__":
    main()
