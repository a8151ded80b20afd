"""Mean and covariance of real images' features in a .npz, as pytorch-fid and NVIDIA's tools write and read them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rgan_bench import register
from rgan_bench.errors import UserError, one_line
from rgan_bench.files import write_atomically
from rgan_bench.scoring.extractors import Extractor
from rgan_bench.scoring.metrics import Statistics

HOLDS = "it must hold `mu` [D] and `sigma` [D, D], as pytorch-fid writes them"


@dataclass(frozen=True)
class GivenStatistics:
    """The real side of a score, of which only this much is known.

    Attributes:
        path: whence it comes.
        mu, sigma: float64 [D] and [D, D].
        fingerprint: of these numbers; it is that of no images.
    """

    path: Path
    mu: np.ndarray
    sigma: np.ndarray
    fingerprint: str
    count: None = None
    image_size: None = None  # whatever the images have

    @property
    def name(self) -> str:
        return str(self.path)

    @classmethod
    def read(cls, path: Path, what: str) -> "GivenStatistics":
        """
        Args:
            what: how an error names the file.

        Raises:
            UserError: there is no such file, or no such statistics in it.
        """
        try:
            with np.load(path, allow_pickle=False) as saved:
                mu, sigma = (np.asarray(saved[name]) for name in ("mu", "sigma"))
        except FileNotFoundError as error:
            raise UserError(f"{what}: there is no such file; {HOLDS}") from error
        except Exception as error:  # whatever numpy and zipfile may stumble over
            raise UserError(f"{what}: not such statistics ({one_line(error)[:200]}); {HOLDS}") from error
        fitting = mu.ndim == 1 and sigma.shape == (len(mu), len(mu)) and mu.dtype.kind == sigma.dtype.kind == "f"
        if not (fitting and np.isfinite(mu).all() and np.isfinite(sigma).all()):
            shapes = f"mu {mu.dtype} {list(mu.shape)}, sigma {sigma.dtype} {list(sigma.shape)}"
            raise UserError(f"{what}: not such statistics, or not finite ({shapes}); {HOLDS}")
        mu, sigma = mu.astype(np.float64), np.ascontiguousarray(sigma, dtype=np.float64)
        digest = hashlib.sha256(mu.tobytes() + sigma.tobytes()).hexdigest()[:16]
        return cls(path, mu, sigma, f"statistics-{digest}")

    def check(self, features: list[str], metrics: list[str]) -> None:
        """
        Raises:
            UserError: nothing but a Fréchet distance on features of one extractor can be had of them.
        """
        others = [metric for metric in metrics if metric != "frechet"]
        if others:
            raise UserError(
                f"--real-stats {self.path}: holds mean and covariance, and {', '.join(others)} needs the features of "
                "real images; use --metrics frechet, or --data"
            )
        width = register.attributes("extractor", features[0]).get("dimensions")
        if len(features) > 1 or width != len(self.mu):
            raise UserError(
                f"--real-stats {self.path}: is of {len(self.mu):,} features, and {', '.join(features)} gives other "
                "ones; name the extractor that it was made with: --features F"
            )

    def cached(self, extractor: Extractor, keep_features: bool = False) -> Statistics:
        return Statistics(self.mu, self.sigma, 0)

    def cache_path(self, extractor: Extractor) -> Path:
        return self.path


def write(path: Path, statistics: Statistics) -> None:
    """
    Raises:
        OSError: it cannot be written.
    """
    saved: dict[str, Any] = {"mu": statistics.mu, "sigma": statistics.sigma}
    write_atomically(path, lambda file: np.savez(file, **saved))
