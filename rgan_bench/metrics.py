"""Fréchet distances: features of images → statistics → score, with torch-fidelity's formulas.

Images come as batches and leave as features: nothing is written as PNG, and fakes are never held all at once.
"""

import os
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch_fidelity.metric_fid import (
    KEY_METRIC_FID,
    fid_features_to_statistics,
    fid_statistics_to_metric,
)

from rgan_bench.data.dataset import ImageDataset
from rgan_bench.extractors import Extractor
from rgan_bench.files import write_atomically
from rgan_bench.rng import draw_distinct, stream

CACHE_FORMAT = 1  # raise it when cached statistics would no longer be what the code computes


@dataclass(frozen=True)
class Statistics:
    """Mean [D] and covariance [D, D] of the features of `count` images."""

    mu: np.ndarray
    sigma: np.ndarray
    count: int


def extract_statistics(batches: Iterable[Tensor], extractors: list[Extractor]) -> list[Statistics]:
    """The statistics of uint8 image batches under several extractors, in one pass."""
    features: list[list[Tensor]] = [[] for _ in extractors]
    with torch.inference_mode():
        for images in batches:
            for collected, extractor in zip(features, extractors, strict=True):
                collected.append(extractor(images).cpu())
    return [
        Statistics(**fid_features_to_statistics(torch.cat(collected)), count=sum(map(len, collected)))
        for collected in features
    ]


def frechet_distance(fake: Statistics, real: Statistics) -> float:
    """‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½), Heusel et al. 2017 (arXiv 1706.08500), as torch-fidelity computes it."""
    one, two = ({"mu": statistics.mu, "sigma": statistics.sigma} for statistics in (fake, real))
    return fid_statistics_to_metric(one, two, verbose=False)[KEY_METRIC_FID]


# --- real images ------------------------------------------------------------------------------------------------------


def default_cache_dir() -> Path:
    set_by_user = os.environ.get("RGAN_BENCH_CACHE")
    return Path(set_by_user) if set_by_user else Path.home() / ".cache" / "rgan_bench"


class RealStatistics:
    """The statistics of a data set under an extractor, kept on disk."""

    def __init__(self, data: ImageDataset, num_real: int | None, cache_dir: str | None) -> None:
        """
        Args:
            num_real: so many images, a fixed random choice; None: all.
        """
        self.data = data
        self.count = len(data) if num_real is None else num_real
        self.cache_dir = Path(cache_dir).expanduser() if cache_dir else default_cache_dir()

    def cache_path(self, extractor: Extractor) -> Path:
        parts = (self.data.fingerprint, extractor.features, extractor.weights, str(self.count), f"v{CACHE_FORMAT}")
        return self.cache_dir / ("-".join(parts) + ".npz")

    def cached(self, extractor: Extractor) -> Statistics | None:
        """What is on the disk; None where nothing is, or nothing readable."""
        try:
            with np.load(self.cache_path(extractor), allow_pickle=False) as saved:
                mu, sigma = saved["mu"], saved["sigma"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            return None
        return Statistics(mu, sigma, self.count) if sigma.shape == (len(mu), len(mu)) else None

    def compute(self, extractor: Extractor, batches: Iterable[Tensor]) -> Statistics:
        """From `batches` of `self.batches(…)`; saved for the next run if the cache can be written."""
        (statistics,) = extract_statistics(batches, [extractor])
        path = self.cache_path(extractor)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, lambda file: np.savez(file, mu=statistics.mu, sigma=statistics.sigma))
        except OSError:
            pass  # a cache that cannot be written costs time, nothing else
        return statistics

    def batches(self, batch_size: int) -> Iterable[Tensor]:
        indices = torch.arange(len(self.data))
        if self.count < len(self.data):
            # Not the first ones: images in folders are often sorted by class.
            indices = draw_distinct(self.count, len(self.data), stream(0, "metrics/real")).sort().values
        for chosen in indices.split(batch_size):
            yield self.data.images[chosen.to(self.data.images.device)]
