"""Confidence intervals that suppose no distribution: from all relabellings of the values, or from many."""

import itertools
import math
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

RELABELLINGS = 4096  # above so many they are drawn, not enumerated

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


def permutation_intervals(a: Floats, b: Floats | None, confidence: float) -> Floats | None:
    """The shifts that a two-sided permutation test of the means does not reject: their lower and upper ends, for a row
    of values each; None: too few values.

    Exact, if not drawn. With b, labels are exchanged between the samples (they differ by a shift alone); without, signs
    of the differences (which are symmetric). The test at a shift counts relabellings whose statistic is beyond the one
    that was seen, and each is so from one shift on: the mean of what it moves out minus that of what it moves in. The
    interval's ends are order statistics of these (Hartigan 1969 for signs).
    """
    weights = sign_weights(a.shape[1]) if b is None else exchange_weights(a.shape[1], b.shape[1])
    rank = int((1 - confidence) / 2 * (len(weights) + 1) * (1 + 1e-9))
    if rank == 0:
        return None
    limits = (a if b is None else np.hstack([a, b])) @ weights.T
    limits.partition((rank - 1, len(weights) - rank), axis=1)
    ends: Floats = limits[:, [rank - 1, -rank]].T
    return ends


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
