"""What a score is called and what decides its value. Imports no torch.

Two scores may be compared only where their protocols are equal.
"""

import hashlib
import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rgan_bench import register
from rgan_bench.config.combinations import computed_from
from rgan_bench.config.schema import FAMILIES

# How the digest of torch-fidelity's Inception weights begins, as the name of their file says.
INCEPTION_WEIGHTS = "6726825d"

# What is computed from features, by fid.metrics: in most of their names the extractor's follows.
FEATURE_METRICS = tuple(metric for family in FAMILIES.values() for metric in family)
SHORT = {"frechet": "fd", "kernel": "kd"}
# What points are scored by, which needs no features besides their coordinates.
POINT_METRICS = ("modes", "high_quality", "wasserstein")
METRICS = (*FEATURE_METRICS, *POINT_METRICS)
HIGHER_IS_BETTER = ("modes", "high_quality", "precision", "recall", "density", "coverage", "inception_score")
# How the name of a score ends that is not of the generator that is trained, but of its moving average.
AVERAGED = "_ema"

# The iterations over which table 3 of arXiv 1807.00734 takes minimum, maximum, mean and standard deviation.
TABLE3_ITERATIONS = tuple(range(20_000, 100_001, 10_000))


def is_fid(score: str) -> bool:
    """Whether a score of this name is an FID, of whichever generator."""
    return score.removesuffix(AVERAGED) == "fid"


class Measured(float):
    """A value with the error bar that its metric brings.

    Attributes:
        error: what it is → how large.
    """

    error: dict[str, float]

    def __new__(cls, value: float, **error: float) -> "Measured":
        made = super().__new__(cls, value)
        made.error = error
        return made


@dataclass(frozen=True)
class Protocol:
    """
    Attributes:
        features: the extractor's name.
        weights: digest of the extractor's weights.
        num_samples, num_real: how many fakes and real images; num_real is None where only statistics of them are known.
        batch_norm: of the generator while sampling: "batch" or "running"; "none" for images from files.
        batch_size: images a forward pass of the generator, on which batch statistics depend.
        data: fingerprint of the real images, or of their statistics.
        metric: one of METRICS.
        generator: "raw", the one that is trained, or "ema", its moving average.
    """

    features: str
    weights: str
    num_samples: int
    num_real: int | None
    batch_norm: str
    batch_size: int | None
    data: str
    metric: str = "frechet"
    generator: str = "raw"

    @property
    def score_name(self) -> str:
        # A Fréchet distance is an FID, and a kernel distance a KID, only on the Inception features of Heusel et al.
        # 2017 and Binkowski et al. 2018. On every other they have names of their own.
        named = register.attributes("extractor", self.features).get(self.metric)
        of_features = f"{SHORT.get(self.metric, self.metric)}_{self.features}"
        name = named or (self.metric if self.metric in POINT_METRICS else of_features)
        return name + AVERAGED * (self.generator == "ema")

    @property
    def higher_is_better(self) -> bool:
        return self.metric in HIGHER_IS_BETTER

    @property
    def rank_deficient(self) -> bool:
        """Whether a covariance of so many features cannot have full rank from so few images: a Fréchet distance is
        then biased, and far more than with many images."""
        dimensions = register.attributes("extractor", self.features).get("dimensions", 0)  # 0: its plugin is not loaded
        counts = [count for count in (self.num_samples, self.num_real) if count is not None]
        return self.metric == "frechet" and min(counts) <= dimensions

    @property
    def fingerprint(self) -> str:
        """Equal fingerprints: comparable scores."""
        return hashlib.sha256(json.dumps(self.settings(), sort_keys=True).encode()).hexdigest()[:12]

    def settings(self) -> dict[str, Any]:
        """Its fields. `generator` is younger than fingerprints that people have, and is left out where it is raw."""
        return {key: value for key, value in asdict(self).items() if (key, value) != ("generator", "raw")}

    def as_dict(self) -> dict[str, Any]:
        return {**self.settings(), "rank_deficient": self.rank_deficient, "fingerprint": self.fingerprint}


def metrics_of(features: str, families: Sequence[str]) -> tuple[str, ...]:
    """What `fid.metrics` asks for on these features; of points always the same."""
    if features == "points":
        return POINT_METRICS
    return tuple(metric for family in computed_from(features, families) for metric in FAMILIES[family])


def spread(values: Sequence[float]) -> dict[str, float]:
    """mean, sample SD and number of several draws of a score; of a single one nothing."""
    if len(values) < 2:
        return {}
    return {"mean": statistics.fmean(values), "sd": statistics.stdev(values), "draws": len(values)}


@dataclass
class ScoreHistory:
    """The scores of one run under one protocol.

    Attributes:
        entries: (iteration, value) of the first draw of fakes, iterations rising.
        draws: iteration → values of all draws, where there is more than one.
        errors: iteration → the error bar that the metric brought with the first.
    """

    protocol: Protocol
    entries: list[tuple[int, float]] = field(default_factory=list)
    draws: dict[int, list[float]] = field(default_factory=dict)
    errors: dict[int, dict[str, float]] = field(default_factory=dict)

    def add(self, iteration: int, value: float) -> None:
        """The next draw at this iteration; the first one where there is none."""
        if self.drawn(iteration):
            self.draws.setdefault(iteration, [self.entries[-1][1]]).append(float(value))
            return
        self.entries.append((iteration, float(value)))
        if isinstance(value, Measured) and value.error:
            self.errors[iteration] = value.error

    def drawn(self, iteration: int) -> int:
        """How many draws there are at this iteration, the last that was scored or one to come."""
        if iteration in self.draws:
            return len(self.draws[iteration])
        return int(bool(self.entries) and self.entries[-1][0] == iteration)

    def goes_beyond(self, iteration: int) -> bool:
        return bool(self.entries) and self.entries[-1][0] > iteration

    def summary(self) -> dict[str, Any]:
        """final, best and history, as result.json holds them; draws and errors where there are some."""
        choose = max if self.protocol.higher_is_better else min

        def entry(pair: tuple[int, float]) -> dict[str, float]:
            iteration, value = pair
            more = self.errors.get(iteration, {}) | spread(self.draws.get(iteration, ()))
            return {"iteration": iteration, "value": value, **more}

        return {
            "final": entry(self.entries[-1]),
            "best": entry(choose(self.entries, key=lambda pair: pair[1])),
            "history": [list(pair) for pair in self.entries],
            "table3": self.table3(),
            **self._by_iteration(str),
        }

    def _by_iteration(self, key: Callable[[int], Any]) -> dict[str, Any]:
        """draws and errors, those that there are: most histories have none, and are written as they always were."""
        named: dict[str, dict[int, Any]] = {"draws": self.draws, "errors": self.errors}
        return {name: {key(i): each for i, each in found.items()} for name, found in named.items() if found}

    def table3(self) -> dict[str, Any] | None:
        """min, max, mean and sample SD over iterations 20k, 30k, …, 100k, as table 3 reads a run; None before 20k."""
        values = [value for iteration, value in self.entries if iteration in TABLE3_ITERATIONS]
        if not values:
            return None
        return {
            "min": min(values),
            "max": max(values),
            "mean": statistics.fmean(values),
            "sd": statistics.stdev(values) if len(values) > 1 else None,
            "count": len(values),
            "complete": len(values) == len(TABLE3_ITERATIONS),
        }

    def as_dict(self) -> dict[str, Any]:
        entries = [list(pair) for pair in self.entries]
        return {"protocol": self.protocol.settings(), "entries": entries, **self._by_iteration(int)}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> "ScoreHistory":
        return cls(
            Protocol(**saved["protocol"]),
            [(int(i), float(value)) for i, value in saved["entries"]],
            {int(i): [float(value) for value in values] for i, values in saved.get("draws", {}).items()},
            {int(i): {str(k): float(v) for k, v in bar.items()} for i, bar in saved.get("errors", {}).items()},
        )
