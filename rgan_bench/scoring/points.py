"""Scores of points against a mixture of known modes: how many are found, how well, and how the rest is spread."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from rgan_bench.config.combinations import check_scoring
from rgan_bench.config.schema import FidConfig
from rgan_bench.data.dataset import ImageDataset
from rgan_bench.data.points import PointDataset
from rgan_bench.errors import UserError
from rgan_bench.rng import draw_distinct, stream
from rgan_bench.scoring.given import GivenStatistics
from rgan_bench.scoring.metrics import through
from rgan_bench.scoring.protocol import Protocol
from rgan_bench.scoring.sampling import as_they_are
from rgan_bench.scoring.scorer import Scorer

Points = NDArray[np.float64]

NEAR = 3  # standard deviations: what lies within them of a mode is of high quality
TRANSPORTED = 1000  # points of either side: exact assignment takes a third of a second, and grows with the cube


def make_scorer(
    fid: FidConfig,
    data: ImageDataset | GivenStatistics,
    device: torch.device,
    say: Callable[[str], None] = lambda text: None,
) -> Scorer:
    """The scorer that a data set needs.

    Raises:
        UserError: as `Scorer`; or what `fid` asks for cannot be computed of such data.
    """
    kind, made = ("points", PointScorer) if isinstance(data, PointDataset) else ("images", Scorer)
    check_scoring(fid, data.name, kind)
    return made(fid, data, device, say)


class PointScorer(Scorer):
    """A Scorer for data whose modes are known: `modes`, `high_quality` and `wasserstein`."""

    stored: Callable[[Tensor], Tensor] = staticmethod(as_they_are)

    @property
    def points(self) -> PointDataset:
        assert isinstance(self.data, PointDataset)  # make_scorer saw to it
        return self.data

    def score_images(self, images: ImageDataset) -> dict[str, float]:
        """
        Raises:
            UserError: images are no points.
        """
        raise UserError(f"{images.source}: holds images, and data={self.data.name} points; choose other data")

    def help(self, generator: nn.Module, seed: int, draw: int) -> None:
        """Rank 0 needs none."""

    def _fakes(self, generator: nn.Module, seed: int, draw: int) -> Iterator[list[Tensor]]:
        return through(self._sample(generator, seed, draw), self.extractors)

    def _distances(
        self, found_in: Iterable[list[Tensor]], total: int, protocols: dict[str, Protocol]
    ) -> dict[str, float]:
        with torch.inference_mode():
            fakes = torch.cat([found.double().cpu() for (found,) in found_in]).numpy()
        found, share = coverage(fakes, self.points.modes.numpy(), self.points.sd)
        count = min(TRANSPORTED, len(fakes), self.real.count or 0)
        values = {
            "modes": float(found),
            "high_quality": share,
            "wasserstein": wasserstein(fakes[:count], self.real_points(count)),
        }
        return {name: values[protocol.metric] for name, protocol in protocols.items()}

    def real_points(self, count: int) -> Points:
        """A fixed choice of real points, [count, 2]."""
        chosen = draw_distinct(count, len(self.points), stream(0, "metrics/real"))
        points: Points = self.points.images[chosen.to(self.points.images.device)].flatten(1).double().cpu().numpy()
        return points


def coverage(points: Points, modes: Points, sd: float) -> tuple[int, float]:
    """How many modes have a point within three standard deviations, and the share of points that lie so near to one:
    Srivastava et al. 2017 (VEEGAN, arXiv 1705.07761).

    Args:
        points: [N, 2].
        modes: [M, 2].
    """
    distances = np.linalg.norm(points[:, None] - modes, axis=2)
    nearest = distances.argmin(axis=1)
    near = distances.min(axis=1) <= NEAR * sd
    return len(np.unique(nearest[near])), float(near.mean())


def wasserstein(one: Points, two: Points) -> float:
    """The Wasserstein-1 distance between two sets of as many points [N, 2]: the mean distance from point to point under
    the cheapest assignment, which is found exactly."""
    costs = np.linalg.norm(one[:, None] - two, axis=2)
    return float(costs[linear_sum_assignment(costs)].mean())
