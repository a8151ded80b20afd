"""Whether a difference stands out from the spread between seeds."""

import itertools
from statistics import fmean, stdev
from typing import Any


def compare_pairs(rows: dict[str, list[float]]) -> list[dict[str, Any]]:
    """For every pair of rows with two seeds or more, Welch's t-test; p by Holm's correction over all of them.

    Args:
        rows: name → a value a seed.
    """
    from scipy.stats import ttest_ind

    several = {row: values for row, values in rows.items() if len(values) > 1}
    pairs = []
    for (one, a), (two, b) in itertools.combinations(several.items(), 2):
        difference = fmean(a) - fmean(b)
        if stdev(a) == stdev(b) == 0:  # no spread at all: the test divides by it
            found = {"t": None, "p": float(difference == 0)}
        else:
            test = ttest_ind(a, b, equal_var=False)
            found = {"t": float(test.statistic), "p": float(test.pvalue)}
        pairs.append({"pair": [one, two], "difference": difference, **found})
    for pair, adjusted in zip(pairs, holm([pair["p"] for pair in pairs]), strict=True):
        pair |= {"p_holm": adjusted, "stands_out": adjusted < 0.05}
    return pairs


def holm(p_values: list[float]) -> list[float]:
    """Holm's step-down correction (1979)."""
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted
