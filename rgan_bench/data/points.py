"""Points of the plane around known modes: sets on which losses can be told apart in seconds.

A point is stored like an image of two channels and one pixel, so that all that trains on images trains on points.
"""

import hashlib
import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from rgan_bench.config.schema import LimitsConfig
from rgan_bench.data.dataset import ImageDataset, check_bytes
from rgan_bench.data.exact import Floats, normals
from rgan_bench.register import dataset
from rgan_bench.rng import stream

CHUNK = 100_000  # points drawn from one stream


@dataclass(frozen=True, kw_only=True)  # fields that follow ones with a default
class PointDataset(ImageDataset):
    """A mixture of equal round Gaussians, and points drawn from it.

    Attributes:
        images: the points, float32 [N, 2, 1, 1], in their own units.
        modes: centres of the Gaussians, float64 [M, 2], on the CPU.
        sd: their standard deviation along each axis.
    """

    modes: Tensor
    sd: float

    @classmethod
    def from_points(cls, name: str, source: str, points: Tensor, modes: Tensor, sd: float) -> Self:
        """Fingerprints points [N, 2] that lie on the CPU, with the modes [M, 2] that they were drawn around."""
        if points.ndim != 2 or points.shape[1] != 2 or modes.ndim != 2 or modes.shape[1] != 2:
            raise ValueError(f"points and modes must be [N, 2], got {list(points.shape)} and {list(modes.shape)}")
        points, modes = points.float().contiguous(), modes.double().contiguous()
        digest = hashlib.blake2b(repr((tuple(points.shape), tuple(modes.shape), sd)).encode(), digest_size=8)
        for part in (points, modes):
            digest.update(part.numpy().data)
        return cls(name, source, points[:, :, None, None], digest.hexdigest(), modes=modes, sd=sd)

    @property
    def content(self) -> str:
        return f"{len(self):,} points around {len(self.modes)} modes"

    def batch(self, indices: Tensor, memory_format: torch.memory_format = torch.channels_last) -> Tensor:
        """The points at these indices, float32 [B, 2, 1, 1], gathered where they lie."""
        return self.images[indices.to(self.images.device)].contiguous(memory_format=memory_format)


@dataset("ring8", image_size=1, of="points")
def ring8(data: Any, limits: LimitsConfig) -> PointDataset:
    """Eight Gaussians of sd 0.02 on a ring of radius 2, Metz et al. 2017 (arXiv 1611.02163).

    Raises:
        UserError: they would take too much memory.
    """
    root = math.sqrt(0.5)  # both coordinates of an eighth of a turn; a square root has the same bits everywhere
    ring = [(1, 0), (root, root), (0, 1), (-root, root), (-1, 0), (-root, -root), (0, -1), (root, -root)]
    return mixture(data, limits, 2 * np.array(ring, dtype=np.float64), 0.02)


@dataset("grid25", image_size=1, of="points")
def grid25(data: Any, limits: LimitsConfig) -> PointDataset:
    """25 Gaussians of sd 0.05 on a grid of side 8, Lin et al. 2018 (PacGAN, arXiv 1712.04086).

    Raises:
        UserError: they would take too much memory.
    """
    line = (-4, -2, 0, 2, 4)
    return mixture(data, limits, np.array([(x, y) for y in line for x in line], dtype=np.float64), 0.05)


def mixture(data: Any, limits: LimitsConfig, modes: Floats, sd: float) -> PointDataset:
    """`data.num_images` points, each around a mode of its own [M, 2], all of them equally likely.

    They are part of what a run's fingerprint covers, so they must not depend on the machine. `torch.randn` does; so
    normal numbers come from uniform ones, by exact.py.
    """
    count = data.num_images
    check_bytes(count * 8, f"{count:,} points", limits, f"data.num_images={count}")
    points = np.empty((count, 2), dtype=np.float32)
    for start in range(0, count, CHUNK):
        part = points[start : start + CHUNK]
        generator = stream(data.data_seed, f"data/{data.name}", start)
        chosen = torch.randint(len(modes), (len(part),), generator=generator).numpy()
        one, two = torch.rand(2, len(part), generator=generator).numpy().astype(np.float64)
        part[:] = modes[chosen] + sd * np.stack(normals(one, two), axis=1)
    source = f"drawn from data_seed {data.data_seed}"
    return PointDataset.from_points(data.name, source, torch.from_numpy(points), torch.from_numpy(modes), sd)
