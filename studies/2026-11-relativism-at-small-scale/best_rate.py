"""The learning rate at which a loss has the best mean in part 2: python best_rate.py OUTPUTS LOSS.

A rate at which a run has no score is not chosen. A loss of which runs are missing ends this with an error.
"""

import sys
from statistics import fmean

import rgan_bench

SCORE = "fd_efficientnet-lite0"
RATES, SEEDS = 4, 3


def best_rate(outputs: str, loss: str) -> float:
    scores: dict[float, list[float | None]] = {}
    for run in rgan_bench.runs(outputs):
        if run.config["loss"]["name"] == loss and run.status in ("finished", "diverged"):
            score = run.scores[SCORE].final[1] if run.status == "finished" and SCORE in run.scores else None
            scores.setdefault(run.config["optim"]["lr"], []).append(score)
    if [len(values) for values in scores.values()] != [SEEDS] * RATES:
        raise SystemExit(f"{outputs}: {loss} needs {SEEDS} runs at each of {RATES} rates, has {scores}")
    means = {rate: fmean(known) for rate, values in scores.items() if len(known := [v for v in values if v]) == SEEDS}
    return min(means, key=means.__getitem__)


if __name__ == "__main__":
    print(best_rate(*sys.argv[1:]))
