"""The kernel distance between two sets of features."""

import numpy as np
import torch
from torch import Tensor

from rgan_bench.scoring.protocol import Measured

SUBSETS, SUBSET = 100, 1000  # and the images of each
SEED = 2020  # of the subsets: torch-fidelity's
CHUNK = 1000  # rows of kernels at a time: to 10,000 others 80 MB


def kernel_distance(fake: np.ndarray, real: np.ndarray, device: torch.device | None = None) -> Measured:
    """The squared maximum mean discrepancy with a cubic kernel, unbiased however few the images are, averaged over 100
    subsets of at most 1,000: Binkowski et al. 2018 (arXiv 1801.01401), over the same subsets as torch-fidelity.

    Args:
        fake, real: features [N, D]. Each kernel is computed once for all subsets that it lies in: products with the
            digits of the features, all else in float64.
        device: where.

    Returns:
        With `se_over_subsets`, the standard error of that mean, where there is more than one subset of each side.
    """
    size = min(SUBSET, len(fake), len(real))
    fakes, reals = (torch.from_numpy(each).to(device) for each in (fake, real))
    of_fakes, of_reals = (each.to(device) for each in subsets(len(fake), len(real), size))
    within = pair_sums(fakes, of_fakes) + pair_sums(reals, of_reals)
    distances = within / (size * (size - 1)) - 2 * cross_sums(fakes, of_fakes, reals, of_reals) / size**2
    error = float(distances.std(correction=0)) / SUBSETS**0.5
    several = size < min(len(fake), len(real))
    return Measured(float(distances.mean()), **({"se_over_subsets": error} if several else {}))


def subsets(fakes: int, reals: int, size: int) -> tuple[Tensor, Tensor]:
    """Which images lie in which subset: float64 [N, SUBSETS] of 0 and 1 for fakes, and for real images."""
    chance = np.random.RandomState(SEED)
    member = torch.zeros(fakes, SUBSETS, dtype=torch.float64), torch.zeros(reals, SUBSETS, dtype=torch.float64)
    for index in range(SUBSETS):
        for each in member:
            each[torch.from_numpy(chance.choice(len(each), size, replace=False)), index] = 1
    return member


def kernels(one: Tensor, two: Tensor) -> Tensor:
    """(xᵀy / D + 1)³ of all pairs, [N, M]."""
    values = (one @ two.t()).double().div_(one.shape[1]).add_(1)
    return values.mul_(values.square())


def pair_sums(values: Tensor, member: Tensor) -> Tensor:
    """Of each subset the sum over its ordered pairs of different images, [SUBSETS]."""
    total = member.new_zeros(member.shape[1])
    for start in range(0, len(values), CHUNK):
        rows = slice(start, start + CHUNK)
        found = kernels(values[rows], values[start:])
        found.diagonal().zero_()
        found[:, CHUNK:] *= 2  # of what lies below, by symmetry
        total += (member[rows] * (found @ member[start:])).sum(dim=0)
    return total


def cross_sums(one: Tensor, of_one: Tensor, two: Tensor, of_two: Tensor) -> Tensor:
    """Of each subset the sum over its pairs of one and two, [SUBSETS]."""
    total = of_one.new_zeros(of_one.shape[1])
    for start in range(0, len(one), CHUNK):
        rows = slice(start, start + CHUNK)
        total += (of_one[rows] * (kernels(one[rows], two) @ of_two)).sum(dim=0)
    return total
