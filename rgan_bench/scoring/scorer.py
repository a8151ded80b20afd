"""Scores a generator under the configured protocol: what `rgan-train` does on the way and `rgan-fid` afterwards."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from rgan_bench import ranks
from rgan_bench.config.combinations import shown
from rgan_bench.config.schema import FidConfig
from rgan_bench.console import counted
from rgan_bench.data.dataset import ImageDataset
from rgan_bench.errors import UserError
from rgan_bench.scoring.extractors import Extractor, create_extractor
from rgan_bench.scoring.extractors.weights import share
from rgan_bench.scoring.given import GivenStatistics
from rgan_bench.scoring.metrics import NEED_FEATURES, RealStatistics, Statistics, measure, summarise, through
from rgan_bench.scoring.neighbours import NEIGHBOURS
from rgan_bench.scoring.protocol import Protocol, metrics_of
from rgan_bench.scoring.sampling import NotFinite, sample, to_uint8
from rgan_bench.scoring.together import features_of_all


class Scorer:
    """Extractors, and the statistics of the real images, ready for any number of generators."""

    stored: Callable[[Tensor], Tensor] = staticmethod(to_uint8)

    def __init__(
        self,
        fid: FidConfig,
        data: ImageDataset | GivenStatistics,
        device: torch.device,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """
        Raises:
            UserError: an extractor's weights cannot be had, more real images are asked for than there are, or there are
                fewer than a metric needs.
        """
        self.fid, self.data, self.device, self.say = fid, data, device, say
        self.real = data if isinstance(data, GivenStatistics) else self._real_images(data)
        self._check_count(fid.num_samples, f"fid.num_samples={fid.num_samples}")
        files = share(fid.features, fid.weights)
        self.extractors = [create_extractor(name, device, files[name]) for name in fid.features]
        self._statistics: dict[str, Statistics] = {}

    def _real_images(self, data: ImageDataset) -> RealStatistics:
        num_real = self.fid.num_real
        if num_real is not None and num_real > len(data):
            raise UserError(f"fid.num_real={num_real}: the data set has {len(data)} images; at most so many")
        if len(data) < 2:
            raise UserError(
                f"{data.source}: holds one image, and a score needs at least 2 real ones; add some, or score never: "
                "fid.every=null"
            )
        real = RealStatistics(data, num_real, self.fid.cache_dir, self.say)
        self._check_count(real.count, f"{data.source}: {real.count} real images")
        return real

    def _check_count(self, count: int, what: str) -> None:
        """
        Raises:
            UserError: a metric looks at more neighbours than so many images have.
        """
        for features in self.fid.features:
            needed = [NEIGHBOURS.get(metric, 0) for metric in metrics_of(features, self.fid.metrics)]
            if count <= max(needed):
                raise UserError(
                    f"{what}: too few for fid.metrics={shown(self.fid.metrics)}, which looks at {max(needed)} "
                    f"neighbours of each; at least {max(needed) + 1}"
                )

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
            asked = metrics_of(extractor.features, self.fid.metrics)
            # A kernel distance needs features, which given statistics do not have.
            helped = "frechet" in asked and protocol.rank_deficient and self.real.count is not None
            metrics = dict.fromkeys((*asked, *["kernel"] * helped))
            protocols += [replace(protocol, metric=metric) for metric in metrics]
        return {protocol.score_name: protocol for protocol in protocols}

    def real_statistics(self, extractor: Extractor, keep_features: bool) -> Statistics:
        """From memory, else from the cache, else computed."""
        known = self._statistics.get(extractor.features)
        if known is None or (keep_features and known.features is None):
            known = self.real.cached(extractor, keep_features)
            number = "given" if self.real.count is None else f"{self.real.count:,}"
            title = f"{extractor.features} statistics of {number} real images"
            if known is not None:
                self.say(f"{title}: reused from {self.real.cache_path(extractor)}")
            else:
                assert isinstance(self.real, RealStatistics)  # others are there
                self.say(f"{title}: computing (once; cached for later runs)")
                batches = counted(self.real.batches(self.fid.batch_size), self.real.count, "real images")
                known = self.real.compute(extractor, batches, keep_features)
            self._statistics[extractor.features] = known
        return known

    def score(self, generator: nn.Module, seed: int, which: str = "raw", draw: int = 0) -> dict[str, float]:
        """Score name → value. The generator is left as it was; the same seed and draw have the same latents each time.

        Args:
            which: of a run's generators it is, "raw" or "ema": decides the scores' names.
            draw: number of the draw, from 0, of `fid.sampling_seeds` in all.

        Raises:
            NotFinite: the generator's weights, or its images.
        """
        return self._distances(self._fakes(generator, seed, draw), self.fid.num_samples, self.protocols(which=which))

    def help(self, generator: nn.Module, seed: int, draw: int) -> None:
        """What another rank than 0 does while rank 0 is at `score`."""
        with torch.inference_mode(), contextlib.suppress(NotFinite):  # which rank 0 will tell
            for _ in self._fakes(generator, seed, draw):
                pass

    def _fakes(self, generator: nn.Module, seed: int, draw: int) -> Iterator[list[Tensor]]:
        """Features of fakes by extractor, batch by batch."""
        world = ranks.world()
        share = (world.number, world.count)
        batches = counted(self._sample(generator, seed, draw, share), self.fid.num_samples // world.count, "scoring")
        if world.count == 1:
            return through(batches, self.extractors)
        return features_of_all(batches, self.extractors, self.fid.num_samples, self.fid.batch_size, self.device)

    def _sample(self, generator: nn.Module, seed: int, draw: int, share: tuple[int, int] = (0, 1)) -> Iterator[Tensor]:
        return sample(
            generator,
            self.fid.num_samples,
            seed=seed,
            purpose="score/latent" if draw == 0 else f"score/latent/{draw}",
            batch_norm=self.fid.batch_norm,
            batch_size=self.fid.batch_size,
            stored=self.stored,
            share=share,
        )

    def score_images(self, images: ImageDataset) -> dict[str, float]:
        """Score name → value, of images from files; their protocols are `protocols("none", len(images))`.

        Raises:
            UserError: it is one image, which has no covariance, or there are fewer than a metric needs.
        """
        if len(images) < 2:
            raise UserError(f"{images.source}: holds one image, and a score needs at least 2")
        self._check_count(len(images), f"{images.source}: {len(images)} images")
        batches = counted(images.images.split(self.fid.batch_size), len(images), "scoring")
        return self._distances(through(batches, self.extractors), len(images), self.protocols("none", len(images)))

    def _distances(
        self, found_in: Iterable[list[Tensor]], total: int, protocols: dict[str, Protocol]
    ) -> dict[str, float]:
        """Every metric of every extractor, from one pass of the fakes through each."""
        wanted = {e.features: [p for p in protocols.values() if p.features == e.features] for e in self.extractors}
        metrics = {features: [protocol.metric for protocol in mine] for features, mine in wanted.items()}
        keep = [features for features in metrics if set(metrics[features]) & set(NEED_FEATURES)]
        classify = [features for features in metrics if "inception_score" in metrics[features]]
        real = {e.features: self.real_statistics(e, e.features in keep) for e in self.extractors}
        fake = dict(zip(metrics, summarise(found_in, self.extractors, total, keep, classify), strict=True))
        found: dict[str, float] = {}
        for features, mine in wanted.items():
            values = measure(metrics[features], fake[features], real[features], self.device)
            asked = metrics_of(features, self.fid.metrics)
            # What nobody asked for stands beside another score, as a number alone.
            found |= {
                each.score_name: values[each.metric] if each.metric in asked else float(values[each.metric])
                for each in mine
            }
        return found
