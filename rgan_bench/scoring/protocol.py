"""What a score is called and what decides its value. Imports no torch.

Two scores may be compared only where their protocols are equal.
"""

import hashlib
import json
import statistics
from dataclasses import asdict, dataclass, field
from typing import Any

from rgan_bench import register

# How the digest of torch-fidelity's Inception weights begins, as the name of their file says.
INCEPTION_WEIGHTS = "6726825d"

# Distances between features, and how their names begin.
DISTANCES = {"frechet": "fd", "kernel": "kd"}
# What points are scored by, which needs no features besides their coordinates.
POINT_METRICS = ("modes", "high_quality", "wasserstein")
METRICS = (*DISTANCES, *POINT_METRICS)
HIGHER_IS_BETTER = ("modes", "high_quality")
# How the name of a score ends that is not of the generator that is trained, but of its moving average.
AVERAGED = "_ema"

# The iterations over which table 3 of arXiv 1807.00734 takes minimum, maximum, mean and standard deviation.
TABLE3_ITERATIONS = tuple(range(20_000, 100_001, 10_000))


def is_fid(score: str) -> bool:
    """Whether a score of this name is an FID, of whichever generator."""
    return score.removesuffix(AVERAGED) == "fid"


@dataclass(frozen=True)
class Protocol:
    """
    Attributes:
        features: the extractor's name.
        weights: digest of the extractor's weights.
        num_samples, num_real: how many fakes and real images.
        batch_norm: of the generator while sampling: "batch" or "running"; "none" for images from files.
        batch_size: images a forward pass of the generator, on which batch statistics depend.
        data: fingerprint of the real images.
        metric: one of METRICS.
        generator: "raw", the one that is trained, or "ema", its moving average.
    """

    features: str
    weights: str
    num_samples: int
    num_real: int
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
        of_features = f"{DISTANCES[self.metric]}_{self.features}" if self.metric in DISTANCES else self.metric
        name = named or of_features
        return name + AVERAGED * (self.generator == "ema")

    @property
    def higher_is_better(self) -> bool:
        return self.metric in HIGHER_IS_BETTER

    @property
    def rank_deficient(self) -> bool:
        """Whether a covariance of so many features cannot have full rank from so few images: a Fréchet distance is
        then biased, and far more than with many images."""
        dimensions = register.attributes("extractor", self.features).get("dimensions", 0)  # 0: its plugin is not loaded
        return self.metric == "frechet" and min(self.num_samples, self.num_real) <= dimensions

    @property
    def fingerprint(self) -> str:
        """Equal fingerprints: comparable scores."""
        return hashlib.sha256(json.dumps(self.settings(), sort_keys=True).encode()).hexdigest()[:12]

    def settings(self) -> dict[str, Any]:
        """Its fields. `generator` is younger than fingerprints that people have, and is left out where it is raw."""
        return {key: value for key, value in asdict(self).items() if (key, value) != ("generator", "raw")}

    def as_dict(self) -> dict[str, Any]:
        return {**self.settings(), "rank_deficient": self.rank_deficient, "fingerprint": self.fingerprint}


def always_scored(features: str) -> tuple[str, ...]:
    """The metrics that every score on these features has."""
    return POINT_METRICS if features == "points" else ("frechet",)


@dataclass
class ScoreHistory:
    """The scores of one run under one protocol: (iteration, value), iterations rising."""

    protocol: Protocol
    entries: list[tuple[int, float]] = field(default_factory=list)

    def add(self, iteration: int, value: float) -> None:
        self.entries.append((iteration, value))

    def reaches(self, iteration: int) -> bool:
        return bool(self.entries) and self.entries[-1][0] >= iteration

    def summary(self) -> dict[str, Any]:
        """final, best and history, as result.json holds them."""
        choose = max if self.protocol.higher_is_better else min

        def entry(pair: tuple[int, float]) -> dict[str, float]:
            return {"iteration": pair[0], "value": pair[1]}

        return {
            "final": entry(self.entries[-1]),
            "best": entry(choose(self.entries, key=lambda pair: pair[1])),
            "history": [list(pair) for pair in self.entries],
            "table3": self.table3(),
        }

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
        return {"protocol": self.protocol.settings(), "entries": [list(pair) for pair in self.entries]}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> "ScoreHistory":
        return cls(Protocol(**saved["protocol"]), [(int(i), float(value)) for i, value in saved["entries"]])
