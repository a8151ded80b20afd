"""Is the run still well? Non-finite numbers, and generators whose images hardly vary."""

import math

import torch
from torch import Tensor, nn

GRID = 64  # images of a sample grid, 8 a row


def not_finite(values: dict[str, float], networks: dict[str, nn.Module]) -> list[str]:
    """Names of the values that are infinite or NaN, then `weights/NAME` of the networks that hold such a number.

    Reads from the device: for use where logging has to wait for it anyway.
    """
    finite = [
        torch.stack([torch.isfinite(p).all() for p in network.parameters()]).all() for network in networks.values()
    ]
    names = [name for name, value in values.items() if not math.isfinite(value)]
    flags = torch.stack(finite).tolist()
    return names + [f"weights/{name}" for name, ok in zip(networks, flags, strict=True) if not ok]


def pairwise_sd(images: Tensor) -> float:
    """How much images differ: their mean pairwise pixel standard deviation, in units of the range from black to white.

    For two images the standard deviation of two values about their mean, root mean square over all pixels and colours:
    ‖a − b‖ / √(2 · 3HW). Independent pixels of standard deviation σ give σ; equal images give 0.

    Args:
        images: uint8 [N, 3, H, W], N at least 2.
    """
    flat = images.flatten(1).float() / 255
    return (torch.pdist(flat).mean() / math.sqrt(2 * flat.shape[1])).item()
