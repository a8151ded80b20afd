"""Scores a generator under the configured protocol: what `rgan-train` does on the way and `rgan-fid` afterwards."""

from collections.abc import Callable

import torch
from torch import nn

from rgan_bench.console import counted
from rgan_bench.data.dataset import ImageDataset
from rgan_bench.errors import UserError
from rgan_bench.extractors import create_extractor
from rgan_bench.metrics import RealStatistics, Statistics, extract_statistics, frechet_distance
from rgan_bench.protocol import Protocol
from rgan_bench.sampling import sample
from rgan_bench.schema import FidConfig


class Scorer:
    """Extractors, and the statistics of the real images, ready for any number of generators."""

    def __init__(
        self,
        fid: FidConfig,
        data: ImageDataset,
        device: torch.device,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """
        Raises:
            UserError: an extractor's weights cannot be had, or more real images are asked for than there are.
        """
        if fid.num_real is not None and fid.num_real > len(data):
            raise UserError(f"fid.num_real={fid.num_real}: the data set has {len(data)} images; at most so many")
        self.fid, self.data, self.say = fid, data, say
        self.extractors = [create_extractor(name, device, fid.weights) for name in fid.features]
        self.real = RealStatistics(data, fid.num_real, fid.cache_dir)
        self._statistics: list[Statistics] | None = None

    def protocols(self, batch_norm: str | None = None) -> dict[str, Protocol]:
        """Score name → what decides its value."""
        batch_norm = batch_norm or self.fid.batch_norm
        protocols = [
            Protocol(
                features=extractor.features,
                weights=extractor.weights,
                num_samples=self.fid.num_samples,
                num_real=self.real.count,
                batch_norm=batch_norm,
                batch_size=self.fid.batch_size if batch_norm == "batch" else None,
                data=self.data.fingerprint,
            )
            for extractor in self.extractors
        ]
        return {protocol.score_name: protocol for protocol in protocols}

    def real_statistics(self) -> list[Statistics]:
        """One an extractor; from the cache where it has them."""
        if self._statistics is None:
            self._statistics = []
            for extractor in self.extractors:
                statistics = self.real.cached(extractor)
                title = f"{extractor.features} statistics of {self.real.count:,} real images"
                if statistics is not None:
                    self.say(f"{title}: reused from {self.real.cache_path(extractor)}")
                else:
                    self.say(f"{title}: computing (once; cached for later runs)")
                    batches = self.real.batches(self.fid.batch_size)
                    statistics = self.real.compute(extractor, counted(batches, self.real.count, "real images"))
                self._statistics.append(statistics)
        return self._statistics

    def score(self, generator: nn.Module, seed: int) -> dict[str, float]:
        """Score name → value. The generator is left as it was; the same seed draws the same latents each time."""
        fakes = sample(
            generator,
            self.fid.num_samples,
            seed=seed,
            purpose="score/latent",
            batch_norm=self.fid.batch_norm,
            batch_size=self.fid.batch_size,
        )
        return self._distances(counted(fakes, self.fid.num_samples, "scoring"))

    def score_images(self, images: ImageDataset) -> dict[str, float]:
        """Score name → value, of images from files."""
        return self._distances(counted(images.images.split(self.fid.batch_size), len(images), "scoring"))

    def _distances(self, batches: object) -> dict[str, float]:
        real = self.real_statistics()
        fake = extract_statistics(batches, self.extractors)
        return dict(zip(self.protocols(), map(frechet_distance, fake, real), strict=True))
