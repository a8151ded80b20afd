"""Images → features → statistics → scores.

Images come as batches and leave as features: nothing is written as PNG, and fakes are never held all at once.
"""

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rgan_bench import register
from rgan_bench.data.cache import cache_folder
from rgan_bench.data.dataset import ImageDataset
from rgan_bench.files import write_atomically
from rgan_bench.rng import draw_distinct, stream
from rgan_bench.scoring.classes import ClassScore
from rgan_bench.scoring.extractors import Extractor
from rgan_bench.scoring.frechet import factor, trace_of_root
from rgan_bench.scoring.kernel import kernel_distance
from rgan_bench.scoring.neighbours import NEIGHBOURS, neighbour_scores
from rgan_bench.scoring.projections import monge_distance
from rgan_bench.scoring.protocol import Measured

POOL = 10_000  # features kept for the metrics that need some, at most: 82 MB of Inception's
NEED_FEATURES = ("kernel", *NEIGHBOURS, "mind")
CACHE_FORMAT = 2  # raise it when cached statistics would no longer be what the code computes


@dataclass(frozen=True)
class Statistics:
    """Mean [D] and covariance [D, D] of the features of `count` images; if asked, some of the features [≤ 10,000, D],
    and the Inception score of all of them."""

    mu: np.ndarray
    sigma: np.ndarray
    count: int
    features: np.ndarray | None = None
    inception_score: Measured | None = None
    factors: dict[torch.device | None, Tensor] = field(default_factory=dict, repr=False, compare=False)

    def factor(self, device: torch.device | None) -> Tensor:
        """A with A Aᵀ = Σ, float64 [D, rank]. Computed once: many generators are scored against the same reals."""
        if device not in self.factors:
            self.factors[device] = factor(self.sigma).to(device)
        return self.factors[device]


class Collector:
    """Mean and covariance of features as they come, in float64 on their device: the features themselves are let go,
    but for a random choice of at most POOL where a metric needs some."""

    def __init__(
        self, total: int, keep_features: bool = False, classify: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        """
        Args:
            total: how many images will come.
            classify: features → logits, where an Inception score is wanted.
        """
        self.classify, self.classes = classify, ClassScore(total) if classify else None
        self.count = 0
        self.kept: list[Tensor] | None = [] if keep_features else None
        self.chosen = torch.ones(total, dtype=torch.bool)
        if total > POOL:
            self.chosen[:] = False
            self.chosen[draw_distinct(POOL, total, stream(0, "metrics/pool"))] = True

    def add(self, features: Tensor) -> None:
        """Features [B, D]."""
        values = features.double()
        if self.count == 0:
            # Sums are taken about the first batch's mean: about zero, digits would cancel.
            self.shift = values.mean(dim=0)
            self.first = torch.zeros_like(self.shift)
            self.second = values.new_zeros(values.shape[1], values.shape[1])
        values = values - self.shift
        self.first += values.sum(dim=0)
        self.second.addmm_(values.t(), values)
        if self.kept is not None:
            chosen = self.chosen[self.count : self.count + len(features)].nonzero()[:, 0]
            self.kept.append(features[chosen.to(features.device)])  # to the host at the end: it would wait for each
        if self.classify is not None and self.classes is not None:
            self.classes.add(self.classify(features))
        self.count += len(features)

    def statistics(self) -> Statistics:
        mean = self.first / self.count
        sigma = (self.second - self.count * torch.outer(mean, mean)) / (self.count - 1)
        kept = None if self.kept is None else torch.cat(self.kept).cpu().numpy()
        score = None if self.classes is None else self.classes.value()
        return Statistics((self.shift + mean).cpu().numpy(), sigma.cpu().numpy(), self.count, kept, score)


def summarise(
    features: Iterable[Sequence[Tensor]],
    extractors: list[Extractor],
    total: int,
    keep_features: Collection[str] = (),
    classify: Collection[str] = (),
) -> list[Statistics]:
    """Statistics of `total` images under several extractors in one pass.

    Args:
        features: of each batch of images, those of each extractor.
        keep_features: names of the extractors whose features are kept, at most POOL of each.
        classify: names of those by whose classes an Inception score is wanted.
    """
    collectors = [
        Collector(total, each.features in keep_features, each.classify if each.features in classify else None)
        for each in extractors
    ]
    with torch.inference_mode():
        for found in features:
            for collector, each in zip(collectors, found, strict=True):
                collector.add(each)
        return [collector.statistics() for collector in collectors]


def collect(
    batches: Iterable[Tensor], extractors: list[Extractor], total: int, keep_features: Collection[str] = ()
) -> list[Statistics]:
    """As `summarise`, of uint8 images that come in batches."""
    return summarise(through(batches, extractors), extractors, total, keep_features)


def through(batches: Iterable[Tensor], extractors: list[Extractor]) -> Iterator[list[Tensor]]:
    """uint8 images, in batches → their features under each extractor."""
    for images in batches:
        yield [extractor(images) for extractor in extractors]


def statistics_of(features: Tensor, keep_features: bool = False) -> Statistics:
    """Of features [N, D] that are there already."""
    collector = Collector(len(features), keep_features)
    collector.add(features)
    return collector.statistics()


def measure(
    metrics: Collection[str], fake: Statistics, real: Statistics, device: torch.device | None = None
) -> dict[str, float]:
    """Metric → value, of what was collected for them, computed on `device`."""
    found: dict[str, float] = {}
    if "frechet" in metrics:
        found["frechet"] = frechet_distance(fake, real, device)
    if "inception_score" in metrics:
        assert fake.inception_score is not None
        found["inception_score"] = fake.inception_score
    if set(metrics) & set(NEED_FEATURES):
        assert fake.features is not None and real.features is not None
        if "kernel" in metrics:
            found["kernel"] = kernel_distance(fake.features, real.features, device)
        if "mind" in metrics:
            found["mind"] = monge_distance(fake.features, real.features, device)
        by_neighbours = [metric for metric in NEIGHBOURS if metric in metrics]
        if by_neighbours:
            found |= neighbour_scores(fake.features, real.features, by_neighbours, device)
    return found


def frechet_distance(fake: Statistics, real: Statistics, device: torch.device | None = None) -> float:
    """‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½), Heusel et al. 2017 (arXiv 1706.08500)."""
    difference = fake.mu - real.mu
    root = trace_of_root(fake.factor(device), real.factor(device))
    return float(difference @ difference + np.trace(fake.sigma) + np.trace(real.sigma) - 2 * root)


# --- real images ------------------------------------------------------------------------------------------------------


class RealStatistics:
    """The statistics of a data set under an extractor, kept on disk."""

    def __init__(
        self,
        data: ImageDataset,
        num_real: int | None,
        cache_dir: str | None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """
        Args:
            num_real: so many images, a fixed random choice; None: all.

        Raises:
            UserError: as `cache_folder`.
        """
        self.data = data
        self.count = len(data) if num_real is None else num_real
        self.cache_dir = cache_folder(cache_dir, say)

    def cache_path(self, extractor: Extractor) -> Path:
        parts = (self.data.fingerprint, extractor.features, extractor.weights, str(self.count), f"v{CACHE_FORMAT}")
        return self.cache_dir / ("-".join(parts) + ".npz")

    def cached(self, extractor: Extractor, keep_features: bool = False) -> Statistics | None:
        """What is on the disk; None where nothing is, or nothing sound, or not all that is wanted."""
        try:
            with np.load(self.cache_path(extractor), allow_pickle=False) as saved:
                mu, sigma = saved["mu"], saved["sigma"]
                features = saved["features"] if keep_features else None
        except Exception:  # whatever numpy and zipfile may stumble over in a damaged file
            return None
        width = register.attributes("extractor", extractor.features)["dimensions"]
        sound = _is_sound(mu, np.float64, (width,)) and _is_sound(sigma, np.float64, (width, width))
        if features is not None:
            sound = sound and _is_sound(features, np.float32, (min(self.count, POOL), width))
        return Statistics(mu, sigma, self.count, features) if sound else None

    def compute(self, extractor: Extractor, batches: Iterable[Tensor], keep_features: bool = False) -> Statistics:
        """From `batches` of `self.batches(…)`; saved for the next run if the cache can be written."""
        kept = [extractor.features] if keep_features else []
        (statistics,) = collect(batches, [extractor], self.count, kept)
        # Any, since to a checker an array might be meant for np.savez's own options.
        saved: dict[str, Any] = {"mu": statistics.mu, "sigma": statistics.sigma}
        if statistics.features is not None:
            saved["features"] = statistics.features
        path = self.cache_path(extractor)
        with contextlib.suppress(OSError):  # a cache that cannot be written costs time, nothing else
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, lambda file: np.savez(file, **saved))
        return statistics

    def batches(self, batch_size: int) -> Iterable[Tensor]:
        indices = torch.arange(len(self.data))
        if self.count < len(self.data):
            # Not the first ones: images in folders are often sorted by class.
            indices = draw_distinct(self.count, len(self.data), stream(0, "metrics/real")).sort().values
        for chosen in indices.split(batch_size):
            yield self.data.images[chosen.to(self.data.images.device)]


def _is_sound(values: np.ndarray, dtype: type, shape: tuple[int, ...]) -> bool:
    return values.dtype == dtype and values.shape == shape and bool(np.isfinite(values).all())
