"""Scores a generator under the configured protocol: what `rgan-train` does on the way and `rgan-fid` afterwards."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import torch
from torch import Tensor, nn

from rgan_bench.config.schema import FidConfig
from rgan_bench.console import counted
from rgan_bench.data.dataset import ImageDataset
from rgan_bench.errors import UserError
from rgan_bench.scoring.extractors import Extractor, create_extractor
from rgan_bench.scoring.metrics import (
    RealStatistics,
    Statistics,
    collect,
    frechet_distance,
    kernel_distance,
)
from rgan_bench.scoring.protocol import Protocol, always_scored
from rgan_bench.scoring.sampling import sample, to_uint8


class Scorer:
    """Extractors, and the statistics of the real images, ready for any number of generators."""

    stored: Callable[[Tensor], Tensor] = staticmethod(to_uint8)

    def __init__(
        self,
        fid: FidConfig,
        data: ImageDataset,
        device: torch.device,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """
        Raises:
            UserError: an extractor's weights cannot be had, more real images are asked for than there are, or there are
                fewer than 2.
        """
        if fid.num_real is not None and fid.num_real > len(data):
            raise UserError(f"fid.num_real={fid.num_real}: the data set has {len(data)} images; at most so many")
        if len(data) < 2:
            raise UserError(
                f"{data.source}: holds one image, and a score needs at least 2 real ones; add some, or score never: "
                "fid.every=null"
            )
        self.fid, self.data, self.say = fid, data, say
        self.extractors = [create_extractor(name, device, fid.weights) for name in fid.features]
        self.real = RealStatistics(data, fid.num_real, fid.cache_dir, say)
        self._statistics: dict[str, Statistics] = {}

    def protocols(
        self, batch_norm: str | None = None, num_samples: int | None = None, which: str = "raw"
    ) -> dict[str, Protocol]:
        """Score name → what decides its value. A rank-deficient Fréchet distance has a kernel distance beside it.

        Args:
            batch_norm, num_samples: other than configured, for images from files.
            which: of a run's generators, "raw" or "ema".
        """
        batch_norm = batch_norm or self.fid.batch_norm
        protocols = []
        for extractor in self.extractors:
            protocol = Protocol(
                features=extractor.features,
                weights=extractor.weights,
                num_samples=num_samples or self.fid.num_samples,
                num_real=self.real.count,
                batch_norm=batch_norm,
                batch_size=self.fid.batch_size if batch_norm == "batch" else None,
                data=self.data.fingerprint,
                generator=which,
            )
            metrics = (*always_scored(extractor.features), *["kernel"] * protocol.rank_deficient)
            protocols += [replace(protocol, metric=metric) for metric in metrics]
        return {protocol.score_name: protocol for protocol in protocols}

    def real_statistics(self, extractor: Extractor, keep_features: bool) -> Statistics:
        """From memory, else from the cache, else computed."""
        known = self._statistics.get(extractor.features)
        if known is None or (keep_features and known.features is None):
            known = self.real.cached(extractor, keep_features)
            title = f"{extractor.features} statistics of {self.real.count:,} real images"
            if known is not None:
                self.say(f"{title}: reused from {self.real.cache_path(extractor)}")
            else:
                self.say(f"{title}: computing (once; cached for later runs)")
                batches = counted(self.real.batches(self.fid.batch_size), self.real.count, "real images")
                known = self.real.compute(extractor, batches, keep_features)
            self._statistics[extractor.features] = known
        return known

    def score(self, generator: nn.Module, seed: int, which: str = "raw") -> dict[str, float]:
        """Score name → value. The generator is left as it was; the same seed draws the same latents each time.

        Args:
            which: of a run's generators it is, "raw" or "ema": decides the scores' names.

        Raises:
            NotFinite: the generator's weights, or its images.
        """
        fakes = sample(
            generator,
            self.fid.num_samples,
            seed=seed,
            purpose="score/latent",
            batch_norm=self.fid.batch_norm,
            batch_size=self.fid.batch_size,
            stored=self.stored,
        )
        batches = counted(fakes, self.fid.num_samples, "scoring")
        return self._distances(batches, self.fid.num_samples, self.protocols(which=which))

    def score_images(self, images: ImageDataset) -> dict[str, float]:
        """Score name → value, of images from files; their protocols are `protocols("none", len(images))`.

        Raises:
            UserError: it is one image, which has no covariance.
        """
        if len(images) < 2:
            raise UserError(f"{images.source}: holds one image, and a score needs at least 2")
        batches = counted(images.images.split(self.fid.batch_size), len(images), "scoring")
        return self._distances(batches, len(images), self.protocols("none", len(images)))

    def _distances(self, batches: Iterable[Tensor], total: int, protocols: dict[str, Protocol]) -> dict[str, float]:
        kernels = {protocol.features for protocol in protocols.values() if protocol.metric == "kernel"}
        real = {e.features: self.real_statistics(e, e.features in kernels) for e in self.extractors}
        names = [extractor.features for extractor in self.extractors]
        fake = dict(zip(names, collect(batches, self.extractors, total, kernels), strict=True))
        return {
            name: distance(protocol.metric, fake[protocol.features], real[protocol.features])
            for name, protocol in protocols.items()
        }


def distance(metric: str, fake: Statistics, real: Statistics) -> float:
    if metric != "kernel":
        return frechet_distance(fake, real)
    assert fake.features is not None and real.features is not None  # collected for it
    return kernel_distance(fake.features, real.features)
