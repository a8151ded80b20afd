"""r3gan32: the residual networks of R3GAN (Huang et al. 2024, arXiv 2501.05441) for 32×32, unconditional.

No normalisation anywhere: variance is kept by the initialisation, under which every block starts as the identity.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rgan_bench.config.schema import ArchConfig
from rgan_bench.gan.networks.layers import activation_named
from rgan_bench.register import network

SIZES = (4, 8, 16, 32)  # of the stages, in pixels
BLOCKS_PER_STAGE = 2
SLOPE = 0.2
# Of the first two convolutions of a block. So many blocks add to one another, and a block's two convolutions share what
# it may grow: Fixup (arXiv 1901.09321) for branches of three.
GAIN = math.sqrt(2 / (1 + SLOPE**2)) * (len(SIZES) * BLOCKS_PER_STAGE) ** -0.25


# Spectral norm would divide the blocks' last convolutions, which start at zero, by a norm of zero.
@network(
    "r3gan32",
    image_size=32,
    choices={"batch_norm": ("none",), "spectral_norm": (False,)},
    multiple_of={"width": 8},
)
def r3gan32(arch: ArchConfig) -> tuple[nn.Module, nn.Module]:
    generator = Generator(latent_dim=arch.latent_dim, width=arch.width, activation=arch.activation)
    discriminator = Discriminator(pac=arch.pac, width=arch.width, activation=arch.activation)
    return generator, discriminator


class Generator(nn.Module):
    """z [B, latent_dim] → images [B, 3, 32, 32]. No tanh at the end: they may go beyond [−1, 1]."""

    def __init__(self, *, latent_dim: int, width: int, activation: str) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.constant = nn.Parameter(torch.randn(1, width, SIZES[0], SIZES[0]))
        self.scale = nn.Linear(latent_dim, width, bias=False)
        nn.init.normal_(self.scale.weight, std=latent_dim**-0.5)
        layers: list[nn.Module] = []
        for size in SIZES:
            if size != SIZES[0]:
                layers.append(Upsample(width))
            layers += [Block(width, activation) for _ in range(BLOCKS_PER_STAGE)]
        self.layers = nn.Sequential(*layers, convolution(width, 3, 1))

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.layers(self.constant * self.scale(z)[:, :, None, None])
        return images


class Discriminator(nn.Module):
    """Packed images [B, 3·pac, 32, 32] → logits [B, 1]."""

    def __init__(self, *, pac: int, width: int, activation: str) -> None:
        super().__init__()
        self.pac = pac
        layers: list[nn.Module] = [convolution(3 * pac, width, 1)]
        for size in reversed(SIZES):
            layers += [Block(width, activation) for _ in range(BLOCKS_PER_STAGE)]
            if size != SIZES[0]:
                layers.append(Downsample(width))
        self.layers = nn.Sequential(*layers, convolution(width, width, SIZES[0], groups=width))  # depthwise, to 1×1
        self.judge = nn.Linear(width, 1, bias=False)
        nn.init.normal_(self.judge.weight, std=width**-0.5)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.judge(self.layers(images).flatten(1))
        return logits


class Block(nn.Module):
    """[B, C, H, W] → the same shape: x + convolutions(x), of 1×1 (C → 2C), 3×3 in groups of 16 channels, 1×1 (2C → C).
    A bias and an activation follow the first two; the third starts at zero."""

    def __init__(self, channels: int, activation: str) -> None:
        super().__init__()

        def leaky() -> nn.Module:
            return activation_named(activation, lambda: nn.LeakyReLU(SLOPE, inplace=True))

        self.residual = nn.Sequential(
            convolution(channels, 2 * channels, 1, gain=GAIN, bias=True),
            leaky(),
            convolution(2 * channels, 2 * channels, 3, gain=GAIN, bias=True, groups=channels // 8),
            leaky(),
            convolution(2 * channels, channels, 1, gain=0.0),
        )

    def forward(self, features: Tensor) -> Tensor:
        found: Tensor = features + self.residual(features)
        return found


class Upsample(nn.Module):
    """[B, C, H, W] → [B, C, 2H, 2W]: zeros put in between, then the low-pass filter, summing to 4."""

    filter: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("filter", low_pass(channels, total=4.0), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        return F.conv_transpose2d(features, self.filter, stride=2, padding=1, groups=features.shape[1])


class Downsample(nn.Module):
    """[B, C, 2H, 2W] → [B, C, H, W]: the low-pass filter, summing to 1, at every second pixel."""

    filter: Tensor
    convolve = staticmethod(F.conv2d)  # grouped.py may put another one in its place

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("filter", low_pass(channels, total=1.0), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        return self.convolve(features, self.filter, None, (2, 2), (1, 1), (1, 1), features.shape[1])


def low_pass(channels: int, *, total: float) -> Tensor:
    """[1, 2, 1] ∗ [1, 1] = [1, 3, 3, 1] in both directions, for each channel: [channels, 1, 4, 4]."""
    line = torch.tensor([1.0, 3.0, 3.0, 1.0])
    kernel = torch.outer(line, line)
    return (kernel * (total / kernel.sum())).repeat(channels, 1, 1, 1)


def convolution(
    into: int, out: int, kernel: int, *, gain: float = 1.0, bias: bool = False, groups: int = 1
) -> nn.Module:
    """Of stride 1. One of 1×1 or 3×3 keeps the size, one of 4×4 sees all of it. Weights N(0, gain/√fan_in)."""
    layer = nn.Conv2d(into, out, kernel, padding=1 if kernel == 3 else 0, groups=groups, bias=bias)
    nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.weight[0].numel()))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
