"""Whether a difference is significant, given the spread between seeds."""

import itertools
import math
from statistics import fmean, stdev
from typing import Any


def compare_pairs(rows: dict[str, list[float]]) -> list[dict[str, Any]]:
    """For every pair of rows with two seeds or more, Welch's t-test; p by Holm's correction over all of them.

    Args:
        rows: name → one value per seed.
    """
    several = [(row, values) for row, values in rows.items() if len(values) > 1]
    pairs: list[dict[str, Any]] = [
        {"pair": [one, two], "difference": fmean(a) - fmean(b), **welch(a, b)}
        for (one, a), (two, b) in itertools.combinations(several, 2)
    ]
    for pair, adjusted in zip(pairs, holm([pair["p"] for pair in pairs]), strict=True):
        pair |= {"p_holm": adjusted, "significant": adjusted < 0.05}
    return pairs


def welch(a: list[float], b: list[float]) -> dict[str, float | None]:
    """Welch's test (1947) of whether two means are equal: its statistic t, and the two-sided p.

    Where neither sample has a spread to speak of, t is None, since the test divides by it, and p is 1 for equal means,
    else 0.
    """
    from scipy.special import stdtr  # scipy.stats takes a second to load

    difference, errors = fmean(a) - fmean(b), (stdev(a) / math.sqrt(len(a)), stdev(b) / math.sqrt(len(b)))
    error = math.hypot(*errors)
    if error == 0 or math.isinf(difference / error):
        return {"t": None, "p": float(difference == 0)}
    t, share = difference / error, (errors[0] / error) ** 2
    freedom = 1 / (share**2 / (len(a) - 1) + (1 - share) ** 2 / (len(b) - 1))  # Welch and Satterthwaite
    return {"t": t, "p": float(2 * stdtr(freedom, -abs(t)))}


def holm(p_values: list[float]) -> list[float]:
    """Holm's step-down correction (1979)."""
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted
