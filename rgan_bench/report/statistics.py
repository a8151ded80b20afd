"""Whether two losses differ, by how much, and what difference could have been seen, given the spread between seeds.

Tests, intervals and power are SciPy's; docs/statistics.md says why these, and how often they err.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

LEVEL = 0.05  # how often a table without any true difference may claim one
CONFIDENCE = 0.95  # of intervals, each by itself
POWER = 0.8
ROUNDING = 1e-12  # of the largest value: a spread below it is the rounding of equal differences
RELABELLINGS = 4096  # above so many they are drawn, not enumerated
CHUNK = 1000  # pairs at a time, which bounds the memory to 33 MB a copy

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
# Of one loss under one setting, a run each: (seed, value); None: it has no value.
Runs: TypeAlias = Sequence[tuple[int, float | None]]
Interval: TypeAlias = tuple[float, float]


@dataclass(frozen=True)
class PairTest:
    """Two rows of a column, in the score's unit.

    Attributes:
        difference: mean of the first − mean of the second; where paired, over the seeds that both have.
        ci: 95 % confidence interval of the difference, from the t distribution; None: no spread to speak of.
        ci_permutation: the same from relabellings of the seeds, which supposes no normal distribution; None: there are
            too few seeds for one, or no spread.
        paired: whether both have the same seeds, so that differences are taken within seeds (paired t), else Welch's t.
        n: how many values of each went in.
        t, df, p: of the two-sided t-test; None: no spread to speak of, so that no test is possible.
        p_holm: p after Holm's correction over all pairs of the table.
        significant: p_holm < 0.05.
        mdd: the true difference that would be called significant in 80 % of repetitions, with so many seeds and this
            spread, at the level that Holm's correction asks of the table's smallest p; None: no spread.
        mdd_alone: the same if this were the only pair.
        correlation: between the values of the two over shared seeds; None: not paired, fewer than 3, or no spread.
        incomplete: whether a run of either has no value, and is no part of all this.
    """

    pair: tuple[str, str]
    difference: float
    ci: Interval | None
    ci_permutation: Interval | None
    paired: bool
    n: tuple[int, int]
    t: float | None
    df: float | None
    p: float | None
    p_holm: float | None
    significant: bool
    mdd: float | None
    mdd_alone: float | None
    correlation: float | None
    incomplete: bool

    def seen_from(self, row: str) -> "PairTest":
        """The same pair as the other row − this one."""
        one, two = self.pair
        if row == two:
            return self
        turned = [interval and (-interval[1], -interval[0]) for interval in (self.ci, self.ci_permutation)]
        return replace(
            self,
            pair=(two, one),
            difference=-self.difference,
            ci=turned[0],
            ci_permutation=turned[1],
            t=None if self.t is None else -self.t,
            n=self.n[::-1],
        )


@dataclass(frozen=True)
class Pair:
    """The values of two rows that a test compares; where paired, in the same order of seeds."""

    column: int
    names: tuple[str, str]
    paired: bool
    incomplete: bool
    one: list[float]
    two: list[float]


def compare_table(columns: Sequence[dict[str, Runs]]) -> list[list[PairTest]]:
    """Every pair of rows in each column, where both have at least two values to compare; Holm over all of them.

    Args:
        columns: row → its runs.
    """
    pairs = [
        pair
        for index, rows in enumerate(columns)
        for (one, a), (two, b) in itertools.combinations([(row, runs) for row, runs in rows.items() if runs], 2)
        for pair in [pair_of(index, (one, two), a, b)]
        if min(len(pair.one), len(pair.two)) > 1
    ]
    alike: dict[tuple[bool, int, int], list[int]] = {}
    for index, pair in enumerate(pairs):
        alike.setdefault((pair.paired, len(pair.one), len(pair.two)), []).append(index)
    tests: dict[int, PairTest] = {}
    for indices in alike.values():
        for chunk in (indices[start : start + CHUNK] for start in range(0, len(indices), CHUNK)):
            tests |= zip(chunk, compare([pairs[index] for index in chunk], len(pairs)), strict=True)
    # What no test is possible for was looked at too, and counts.
    adjusted = holm([1.0 if (p := tests[index].p) is None else p for index in range(len(pairs))])
    found: list[list[PairTest]] = [[] for _ in columns]
    for index, pair in enumerate(pairs):
        test = tests[index]
        if test.p is not None:
            test = replace(test, p_holm=adjusted[index], significant=adjusted[index] < LEVEL)
        found[pair.column].append(test)
    return found


def pair_of(column: int, names: tuple[str, str], a: Runs, b: Runs) -> Pair:
    """Paired where every seed of the one is also a seed of the other. What the runs scored, or whether they did, plays
    no part in this."""
    paired = are_shared([seed for seed, _ in a], [seed for seed, _ in b])
    one, two = ([(seed, value) for seed, value in runs if value is not None] for runs in (a, b))
    incomplete = len(one) + len(two) < len(a) + len(b)
    if paired:
        first, second = dict(one), dict(two)
        both = sorted(first.keys() & second.keys())
        return Pair(column, names, True, incomplete, [first[seed] for seed in both], [second[seed] for seed in both])
    return Pair(column, names, False, incomplete, [value for _, value in one], [value for _, value in two])


def are_shared(a: list[int], b: list[int]) -> bool:
    one, two = set(a), set(b)
    return len(one) == len(a) and len(two) == len(b) and min(len(a), len(b)) > 1 and (one <= two or two <= one)


def compare(pairs: list[Pair], family: int) -> list[PairTest]:
    """Pairs with equally many values, all paired or none, at once; Holm's correction comes later.

    Args:
        family: how many pairs the table has.
    """
    from scipy import stats  # takes a second to load

    paired = pairs[0].paired
    one, two = np.array([pair.one for pair in pairs]), np.array([pair.two for pair in pairs])
    # Squares of values as they may be would overflow or vanish.
    scale = np.maximum(np.abs(one).max(axis=1), np.abs(two).max(axis=1))
    scale[scale == 0] = 1
    a, b = one / scale[:, None], two / scale[:, None]
    if paired:
        errors = (a - b).std(axis=1, ddof=1) / math.sqrt(a.shape[1])
    else:
        errors = np.hypot(a.std(axis=1, ddof=1) / math.sqrt(a.shape[1]), b.std(axis=1, ddof=1) / math.sqrt(b.shape[1]))
    spread = np.flatnonzero(errors > ROUNDING)
    done: dict[int, dict[str, Any]] = {}
    if len(spread):
        x, y = a[spread], b[spread]
        result = stats.ttest_rel(x, y, axis=1) if paired else stats.ttest_ind(x, y, axis=1, equal_var=False)
        low, high = result.confidence_interval(CONFIDENCE)
        freedom = np.broadcast_to(result.df, len(spread))
        permuted = permutation_intervals(x - y, None) if paired else permutation_intervals(x, y)
        related = correlations(x, y) if paired else [None] * len(spread)
        for place, index in enumerate(spread):
            df, unit = float(freedom[place]), float(scale[index])
            error = float(errors[index]) * unit
            done[int(index)] = {
                "t": float(result.statistic[place]),
                "df": df,
                "p": float(result.pvalue[place]),
                "ci": (float(low[place]) * unit, float(high[place]) * unit),
                "ci_permutation": permuted and (permuted[place][0] * unit, permuted[place][1] * unit),
                "correlation": related[place],
                "mdd": error * detectable(round(df, 1), LEVEL / family),
                "mdd_alone": error * detectable(round(df, 1), LEVEL),
            }
    nothing = dict.fromkeys(("t", "df", "p", "ci", "ci_permutation", "correlation", "mdd", "mdd_alone"))
    differences = (a.mean(axis=1) - b.mean(axis=1)) * scale
    return [
        PairTest(
            pair=pair.names,
            difference=float(differences[index]),
            paired=paired,
            n=(len(pair.one), len(pair.two)),
            p_holm=None,
            significant=False,
            incomplete=pair.incomplete,
            **done.get(index, nothing),
        )
        for index, pair in enumerate(pairs)
    ]


def correlations(a: Floats, b: Floats) -> list[float | None]:
    """Pearson's, a row each; None where a row has fewer than 3 values, or no spread."""
    x, y = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    known = (lengths > ROUNDING**2) & (a.shape[1] > 2)
    dots = (x * y).sum(axis=1)
    return [float(np.clip(d / n, -1, 1)) if k else None for d, n, k in zip(dots, lengths, known, strict=True)]


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979)."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(np.minimum(1.0, p[order] * np.arange(len(p), 0, -1)))
    return [float(value) for value in adjusted]


@lru_cache(maxsize=10_000)
def detectable(df: float, level: float) -> float:
    """The true difference, in standard errors, that a two-sided t-test at this level finds with 80 % power."""
    from scipy import optimize, stats

    critical = stats.t.isf(level / 2, df)
    # The standard error as it is seen scatters around the true one like this, and the difference by one of them.
    middle = critical * math.sqrt(stats.chi2.ppf(POWER, df) / df)
    return float(optimize.brentq(lambda true: stats.nct.sf(critical, df, true) - POWER, max(0, middle - 3), middle + 3))


# --- intervals from relabellings --------------------------------------------------------------------------------------


def permutation_intervals(a: Floats, b: Floats | None) -> list[Interval] | None:
    """Of each row, the shifts that a two-sided permutation test of the means does not reject; None: too few values.

    Exact, if not drawn. With b, labels are exchanged between the samples (they differ by a shift alone); without, signs
    of the differences (which are symmetric). The test at a shift counts relabellings whose statistic is beyond the one
    that was seen, and each is so from one shift on: the mean of what it moves out minus that of what it moves in. The
    interval's ends are order statistics of these (Hartigan 1969 for signs).
    """
    weights = sign_weights(a.shape[1]) if b is None else exchange_weights(a.shape[1], b.shape[1])
    rank = int((1 - CONFIDENCE) / 2 * (len(weights) + 1) * (1 + 1e-9))
    if rank == 0:
        return None
    limits = (a if b is None else np.hstack([a, b])) @ weights.T
    limits.partition((rank - 1, len(weights) - rank), axis=1)
    return [(float(row[rank - 1]), float(row[-rank])) for row in limits]


@lru_cache
def sign_weights(n: int) -> Floats:
    """A row for each set of seeds that is not empty: what makes their mean of n differences."""
    if 2**n <= RELABELLINGS:
        chosen = np.arange(1, 2**n)[:, None] >> np.arange(n) & 1
    else:
        drawn = np.random.default_rng(0).integers(0, 2, (2 * RELABELLINGS, n))
        chosen = drawn[drawn.any(axis=1)][: RELABELLINGS - 1]
    weights: Floats = chosen / chosen.sum(axis=1, keepdims=True)
    return weights


@lru_cache
def exchange_weights(n: int, m: int) -> Floats:
    """A row for each exchange of equally many of n values with some of m: mean of the ones − mean of the others."""
    if math.comb(n + m, n) <= RELABELLINGS:
        first = np.array(list(itertools.combinations(range(n + m), n)))[1:]
    else:
        rng = np.random.default_rng(0)
        drawn = np.array([np.sort(rng.permutation(n + m)[:n]) for _ in range(2 * RELABELLINGS)])
        first = drawn[(drawn >= n).any(axis=1)][: RELABELLINGS - 1]
    stays = np.zeros((len(first), n + m), bool)
    np.put_along_axis(stays, first, True, axis=1)
    out, into = ~stays[:, :n], stays[:, n:]
    moved = out.sum(axis=1, keepdims=True)
    return np.hstack([out / moved, -(into / moved)])
