"""What a score is called and what decides its value. Imports no torch.

Two scores may be compared only where their protocols are equal.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

# A Fréchet distance is an FID only on the Inception features of Heusel et al. 2017; every other has its own name.
SCORE_NAMES = {
    "inception": "fid",
    "efficientnet-lite0": "fd_efficientnet-lite0",
    "pixels": "fd_pixels",
}


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
    """

    features: str
    weights: str
    num_samples: int
    num_real: int
    batch_norm: str
    batch_size: int | None
    data: str

    @property
    def score_name(self) -> str:
        return SCORE_NAMES[self.features]

    @property
    def fingerprint(self) -> str:
        """Equal fingerprints: comparable scores."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "fingerprint": self.fingerprint}


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
        """final, best (lowest) and history, as result.json holds them."""

        def entry(pair: tuple[int, float]) -> dict[str, float]:
            return {"iteration": pair[0], "value": pair[1]}

        return {
            "final": entry(self.entries[-1]),
            "best": entry(min(self.entries, key=lambda pair: pair[1])),
            "history": [list(pair) for pair in self.entries],
        }

    def as_dict(self) -> dict[str, Any]:
        return {"protocol": asdict(self.protocol), "entries": [list(pair) for pair in self.entries]}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> "ScoreHistory":
        return cls(Protocol(**saved["protocol"]), [(int(i), float(value)) for i, value in saved["entries"]])
