"""Scores by nearest neighbours: precision, recall, density and coverage."""

from collections.abc import Collection, Iterator

import numpy as np
import torch
from torch import Tensor

# How many neighbours a ball around an image reaches to: as the authors of each chose.
NEIGHBOURS = {"precision": 3, "recall": 3, "density": 5, "coverage": 5}
CHUNK = 1000  # rows of distances at a time: to 10,000 others 80 MB


def neighbour_scores(
    fake: np.ndarray, real: np.ndarray, metrics: Collection[str], device: torch.device | None = None
) -> dict[str, float]:
    """Some of these, each by which fakes lie in which balls. A ball reaches from an image to its k-th neighbour.

    precision: the share of fakes within the ball of some real image, recall: of real images within that of some fake;
        k = 3, the edge belongs to the ball. Kynkäänniemi et al. 2019 (arXiv 1904.06991).
    density: how many balls of real images a fake lies in, on average, over k; coverage: the share of real images in
        whose ball some fake lies; k = 5, the edge is outside. Naeem et al. 2020 (arXiv 2002.09797).

    Args:
        fake, real: features [N, D] and [M, D], each more than k. Distances are computed in float64.
        device: where.
    """
    fakes, reals = (torch.tensor(each, dtype=torch.float64, device=device) for each in (fake, real))
    centre = reals.mean(dim=0)  # distances come from products, whose digits cancel far from zero
    for each in (fakes, reals):
        each -= centre
    around_reals = radii(reals, {NEIGHBOURS[metric] for metric in metrics})
    around_fakes = radii(fakes, {NEIGHBOURS["recall"]} if "recall" in metrics else ())
    sums = dict.fromkeys(metrics, 0)
    within = torch.zeros(len(fakes), dtype=torch.bool, device=device)
    for rows, distances in chunks(reals, fakes):
        if "precision" in metrics:
            within |= (distances <= around_reals[NEIGHBOURS["precision"]][rows, None]).any(dim=0)
        if "recall" in metrics:
            sums["recall"] += int((distances <= around_fakes[NEIGHBOURS["recall"]]).any(dim=1).sum())
        if {"density", "coverage"} & set(metrics):
            inside = distances < around_reals[NEIGHBOURS["density"]][rows, None]
            found = {"density": inside, "coverage": inside.any(dim=1)}
            sums |= {metric: sums[metric] + int(found[metric].sum()) for metric in found if metric in metrics}
    totals = {
        "precision": len(fakes),
        "recall": len(reals),
        "density": NEIGHBOURS["density"] * len(fakes),
        "coverage": len(reals),
    }
    if "precision" in metrics:
        sums["precision"] = int(within.sum())
    return {metric: sums[metric] / totals[metric] for metric in metrics}


def radii(features: Tensor, counts: Collection[int]) -> dict[int, Tensor]:
    """k → the distance of each of these [N, D] to its k-th neighbour among them, [N]."""
    if not counts:
        return {}
    nearest = [each.topk(max(counts) + 1, largest=False).values for _, each in chunks(features, features)]
    sorted_distances = torch.cat(nearest)  # the first is the distance to itself
    return {count: sorted_distances[:, count] for count in counts}


def chunks(one: Tensor, two: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """(which rows, distances of these [≤ CHUNK, M]) between two sets, [N, D] and [M, D]."""
    for start in range(0, len(one), CHUNK):
        rows = slice(start, start + CHUNK)
        yield rows, torch.cdist(one[rows], two)
