"""Whether two losses differ, by how much, and what difference could have been seen, given the spread between seeds.

Tests, intervals and power are SciPy's; docs/statistics.md says why these, and how often they err.
"""

import itertools
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from rgan_bench.report.relabelling import Floats, permutation_intervals

LEVEL = 0.05  # how often a table without any true difference may claim one
CONFIDENCE = 0.95  # of intervals, each by itself
POWER = 0.8
ROUNDING = 1e-12  # of the largest value: a spread below it is the rounding of equal differences
CHUNK = 1000  # pairs at a time, which bounds the memory to 33 MB a copy

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
class Sample:
    """The runs of a row.

    Attributes:
        seeds: of all of them.
        distinct: whether no seed is there twice.
        values: seed → value, where there is one.
        all: the values of all that have one.
    """

    row: str
    seeds: frozenset[int]
    distinct: bool
    values: dict[int, float]
    all: list[float]
    incomplete: bool

    @classmethod
    def of(cls, row: str, runs: Runs) -> "Sample":
        seeds = frozenset(seed for seed, _ in runs)
        scored = [(seed, value) for seed, value in runs if value is not None]
        values = [value for _, value in scored]
        return cls(row, seeds, len(seeds) == len(runs), dict(scored), values, len(values) < len(runs))


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
    pairs = []
    for index, rows in enumerate(columns):
        samples = [Sample.of(row, runs) for row, runs in rows.items() if runs]
        pairs += [pair for one, two in itertools.combinations(samples, 2) if (pair := pair_of(index, one, two))]
    alike: dict[tuple[bool, int, int], list[int]] = {}
    for index, pair in enumerate(pairs):
        alike.setdefault((pair.paired, len(pair.one), len(pair.two)), []).append(index)
    tests: dict[int, dict[str, Any]] = {}
    for indices in alike.values():
        for chunk in (indices[start : start + CHUNK] for start in range(0, len(indices), CHUNK)):
            tests |= zip(chunk, compare([pairs[index] for index in chunk], len(pairs)), strict=True)
    # What no test is possible for was looked at too, and counts.
    adjusted = holm([1.0 if (p := tests[index]["p"]) is None else p for index in range(len(pairs))])
    found: list[list[PairTest]] = [[] for _ in columns]
    for index, (pair, p_holm) in enumerate(zip(pairs, adjusted, strict=True)):
        test = tests[index]
        found[pair.column].append(
            PairTest(
                pair=pair.names,
                paired=pair.paired,
                n=(len(pair.one), len(pair.two)),
                p_holm=None if test["p"] is None else p_holm,
                significant=test["p"] is not None and p_holm < LEVEL,
                incomplete=pair.incomplete,
                **test,
            )
        )
    return found


def pair_of(column: int, a: Sample, b: Sample) -> Pair | None:
    """Paired where every seed of the one is also a seed of the other. What the runs scored, or whether they did, plays
    no part in this. None: fewer than two values of either to compare."""
    paired = a.distinct and b.distinct and min(len(a.seeds), len(b.seeds)) > 1 and (
        a.seeds <= b.seeds or b.seeds <= a.seeds
    )  # fmt: skip
    if paired:
        both = [seed for seed in a.values if seed in b.values]
        one, two = [a.values[seed] for seed in both], [b.values[seed] for seed in both]
    else:
        one, two = a.all, b.all
    if min(len(one), len(two)) < 2:
        return None
    return Pair(column, (a.row, b.row), paired, a.incomplete or b.incomplete, one, two)


def compare(pairs: list[Pair], family: int) -> list[dict[str, Any]]:
    """Of pairs with equally many values, all paired or none, what `PairTest` has of each that needs no other pair.

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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of one sample without any spread, beside one with some
            result = stats.ttest_rel(x, y, axis=1) if paired else stats.ttest_ind(x, y, axis=1, equal_var=False)
        low, high = result.confidence_interval(CONFIDENCE)
        freedom = np.broadcast_to(result.df, len(spread))
        unit, error = scale[spread], (errors * scale)[spread]
        # To a tenth, so that few of them are to be solved for.
        needed = [[detectable(df, level) for df in freedom.round(1).tolist()] for level in (LEVEL / family, LEVEL)]
        permuted = permutation_intervals(x - y, None, CONFIDENCE) if paired else permutation_intervals(x, y, CONFIDENCE)
        fields = {
            "t": result.statistic.tolist(),
            "df": freedom.tolist(),
            "p": result.pvalue.tolist(),
            "ci": list(zip((low * unit).tolist(), (high * unit).tolist(), strict=True)),
            "ci_permutation": [None] * len(spread)
            if permuted is None
            else list(map(tuple, (permuted * unit).T.tolist())),
            "correlation": correlations(x, y) if paired else [None] * len(spread),
            "mdd": (error * needed[0]).tolist(),
            "mdd_alone": (error * needed[1]).tolist(),
        }
        for index, values in zip(spread.tolist(), zip(*fields.values(), strict=True), strict=True):
            done[index] = dict(zip(fields, values, strict=True))
    nothing = dict.fromkeys(("t", "df", "p", "ci", "ci_permutation", "correlation", "mdd", "mdd_alone"))
    differences = (a.mean(axis=1) - b.mean(axis=1)) * scale
    return [
        {"difference": float(difference), **done.get(index, nothing)} for index, difference in enumerate(differences)
    ]


def correlations(a: Floats, b: Floats) -> list[float | None]:
    """Pearson's, a row each; None where a row has fewer than 3 values, or no spread."""
    x, y = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    known = (lengths > ROUNDING**2) & (a.shape[1] > 2)
    found = (x * y).sum(axis=1) / np.where(known, lengths, 1)
    return [value if there else None for value, there in zip(found.clip(-1, 1).tolist(), known.tolist(), strict=True)]


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
    if critical > 1000:  # so far out the series of SciPy's nct do not converge, and one standard error is nothing
        return float(middle)
    return float(optimize.brentq(lambda true: stats.nct.sf(critical, df, true) - POWER, max(0, middle - 3), middle + 3))
