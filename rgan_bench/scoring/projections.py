"""The Monge distance of features, by their projections onto lines."""

import numpy as np
import torch
from torch import Tensor

from rgan_bench.rng import draw_distinct, stream

DIRECTIONS = 1000
AT_ONCE = 100  # directions: of 10,000 features their projections take 8 MB


def monge_distance(fake: np.ndarray, real: np.ndarray, device: torch.device | None = None) -> float:
    """3d/(nM) Σ (sorted projections of fakes − of reals)² over M = 1,000 random unit directions, the same each time:
    MIND of Berthet et al. 2026 (arXiv 2605.06797).

    Args:
        fake, real: features [·, d]; of the larger set a fixed random choice is taken, of n, as many as the other has.
        device: where they are projected, in float64.
    """
    count, dimensions = min(len(fake), len(real)), int(fake.shape[1])
    fakes, reals = (_chosen(each, count).to(device) for each in (fake, real))
    directions = torch.randn(DIRECTIONS, dimensions, dtype=torch.float64, generator=stream(0, "metrics/directions"))
    directions /= directions.norm(dim=1, keepdim=True)
    total = 0.0
    for some in directions.to(device).split(AT_ONCE):
        difference = (fakes @ some.t()).sort(dim=0).values - (reals @ some.t()).sort(dim=0).values
        total += float(difference.square().sum())
    return 3 * dimensions / (count * DIRECTIONS) * total


def _chosen(features: np.ndarray, count: int) -> Tensor:
    values = torch.from_numpy(features).double()
    return values if len(values) == count else values[draw_distinct(count, len(values), stream(0, "metrics/equal"))]
