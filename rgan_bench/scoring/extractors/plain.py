"""Features without weights."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from rgan_bench.register import extractor


@extractor("pixels", dimensions=192)
def pixel_features(device: torch.device, weights: str | None) -> Callable[[Tensor], Tensor]:
    """The image averaged down to 8×8, in [0, 1]: 192 features."""
    return lambda images: F.adaptive_avg_pool2d(images.float() / 255, 8).flatten(1)


@extractor("points", dimensions=2)
def point_features(device: torch.device, weights: str | None) -> Callable[[Tensor], Tensor]:
    """The coordinates of points [B, 2, 1, 1]."""
    return lambda points: points.flatten(1)
