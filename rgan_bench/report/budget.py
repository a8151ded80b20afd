"""The best score to be expected of so many trials whose settings are drawn at random: what a tuning budget buys."""

from dataclasses import dataclass, field
from math import comb
from typing import Any

import numpy as np

LEVEL = 0.95
RESAMPLES = 2000
MEANT = 4  # an interval needs so many times more trials than the budget that it is of; docs/statistics.md measures it


@dataclass(frozen=True)
class Expected:
    """
    Attributes:
        trials: the budget.
        value: the mean of the best score over all choices of so many of the trials.
        interval: 95 %, over other trials that might have been drawn; None: there are too few trials to tell.
    """

    trials: int
    value: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class SearchedRow:
    """
    Attributes:
        values: of the searched keys, at the best trial; empty: no trial has a score.
        scores: of each trial, over its seeds; of one that diverged the worst that there is.
        diverged: how many did.
        unfinished: how many trials are left out, since they have no score yet.
    """

    row: str
    values: tuple[Any, ...]
    scores: list[float]
    diverged: int
    unfinished: int
    expected: list[Expected] = field(default_factory=list)


@dataclass(frozen=True)
class Searched:
    """One setting.

    Attributes:
        title: the setting; empty: there is but one.
        keys: what was searched.
        worst: what a trial that diverged counts as.
        budgets: numbers of trials, up to those that all rows have.
    """

    title: str
    keys: list[str]
    worst: float | None
    budgets: list[int]
    rows: list[SearchedRow]


def expected_best(scores: list[float], trials: int, *, higher: bool) -> Expected:
    """
    The unbiased estimator, over all choices of `trials` out of the scores (Tang et al. 2020, arXiv 2004.13705). That of
    Dodge et al. 2019 (arXiv 1909.03004), which draws with replacement, tells of less than the budget buys.

    Args:
        scores: of all trials, at least one.
        trials: the budget, at most as many.
    """
    count, sign = len(scores), 1 if higher else -1
    # Of the scores from the worst to the best, the i-th is the best of a choice whose others are among the i before it.
    weights = np.array([comb(i, trials - 1) / comb(count, trials) for i in range(count)])
    ordered = np.sort(sign * np.array(scores))
    interval = None
    if count >= max(MEANT * trials, 2):
        draws = np.random.default_rng(0).integers(0, count, (RESAMPLES, count))
        means = sign * (np.sort(ordered[draws], axis=1) @ weights)
        low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        interval = (float(low), float(high))
    return Expected(trials, float(sign * (ordered @ weights)), interval)


def budgets(most: int) -> list[int]:
    """1, 2, 5, 10, 20, 50, … and the most of all."""
    steps = [step * 10**power for power in range(len(str(most))) for step in (1, 2, 5)]
    return sorted({step for step in steps if step <= most} | ({most} if most else set()))
