"""What a score is called and what decides its value. Imports no torch.

Two scores may be compared only where their protocols are equal.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
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
