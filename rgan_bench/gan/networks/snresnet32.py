"""snresnet32: the residual networks for 32×32 of Miyato et al. 2018 (arXiv 1802.05957), their tables for CIFAR-10.

An average-pool and a nearest-neighbour ×2 change places with a 1×1 convolution, so shortcuts convolve at the smaller
size: the same function at a quarter of the work.
"""

import math

from torch import Tensor, nn

from rgan_bench.config.schema import ArchConfig
from rgan_bench.gan.networks.layers import activation_named
from rgan_bench.gan.networks.spectral import add_spectral_norm
from rgan_bench.register import network

IN_BLOCK = math.sqrt(2)  # gain of the 3×3 convolutions inside blocks; of all others 1


@network("snresnet32", image_size=32, choices={"batch_norm": ("generator", "none")})
def snresnet32(arch: ArchConfig) -> tuple[nn.Module, nn.Module]:
    generator = Generator(
        latent_dim=arch.latent_dim,
        width=arch.width,
        batch_norm=arch.batch_norm == "generator",
        activation=arch.activation,
    )
    discriminator = Discriminator(
        pac=arch.pac,
        width=max(arch.width // 2, 1),
        spectral_norm=arch.spectral_norm,
        activation=arch.activation,
    )
    return generator, discriminator


class Generator(nn.Module):
    """z [B, latent_dim] → images [B, 3, 32, 32] in (−1, 1)."""

    def __init__(self, *, latent_dim: int, width: int, batch_norm: bool, activation: str) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.project = initialised(nn.Linear(latent_dim, width * 4 * 4))
        self.blocks = nn.Sequential(*(UpBlock(width, batch_norm=batch_norm, activation=activation) for _ in range(3)))
        norm = [nn.BatchNorm2d(width)] if batch_norm else []
        self.to_rgb = nn.Sequential(*norm, relu_or(activation), convolution(width, 3, 3), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.to_rgb(self.blocks(self.project(z).unflatten(1, (-1, 4, 4))))
        return images


class Discriminator(nn.Module):
    """Packed images [B, 3·pac, 32, 32] → logits [B, 1]. Spectral norm is on every layer, the linear one too."""

    each_layer_once = True

    def __init__(self, *, pac: int, width: int, spectral_norm: bool, activation: str) -> None:
        super().__init__()
        self.pac = pac
        self.blocks = nn.Sequential(
            DownBlock(3 * pac, width, activation=activation, first=True),
            DownBlock(width, width, activation=activation),
            DownBlock(width, width, activation=activation, pool=False),
            DownBlock(width, width, activation=activation, pool=False),
        )
        self.activation = relu_or(activation)
        self.judge = initialised(nn.Linear(width, 1))
        if spectral_norm:
            add_spectral_norm(self, linear=True)

    def forward(self, images: Tensor) -> Tensor:
        features = self.activation(self.blocks(images))
        logits: Tensor = self.judge(features.sum((2, 3)))
        return logits


class UpBlock(nn.Module):
    """[B, C, H, W] → [B, C, 2H, 2W]: BN, ReLU, ×2, convolution, BN, ReLU, convolution; beside it ×2, convolution."""

    def __init__(self, channels: int, *, batch_norm: bool, activation: str) -> None:
        super().__init__()

        def normalised() -> list[nn.Module]:
            return [nn.BatchNorm2d(channels)] if batch_norm else []

        self.residual = nn.Sequential(
            *normalised(),
            relu_or(activation, inplace=batch_norm),  # without batch norm it sees what the shortcut needs
            nn.Upsample(scale_factor=2),
            convolution(channels, channels, 3, IN_BLOCK),
            *normalised(),
            relu_or(activation),
            convolution(channels, channels, 3, IN_BLOCK),
        )
        self.shortcut = nn.Sequential(convolution(channels, channels, 1), nn.Upsample(scale_factor=2))

    def forward(self, features: Tensor) -> Tensor:
        found: Tensor = self.residual(features) + self.shortcut(features)
        return found


class DownBlock(nn.Module):
    """[B, into, H, W] → [B, out, H/2, W/2]: ReLU, convolution, ReLU, convolution, average-pool; beside it average-pool,
    convolution.

    Args:
        first: of the discriminator: images come in, which no activation changes.
        pool: whether the size is halved. If not, nothing is beside it, and `into` is `out`.
    """

    def __init__(self, into: int, out: int, *, activation: str, first: bool = False, pool: bool = True) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *([] if first else [relu_or(activation, inplace=False)]),  # the shortcut needs what it sees
            convolution(into, out, 3, IN_BLOCK),
            relu_or(activation),
            convolution(out, out, 3, IN_BLOCK),
            *([nn.AvgPool2d(2)] if pool else []),
        )
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), convolution(into, out, 1)) if pool else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        found: Tensor = self.residual(features) + self.shortcut(features)
        return found


def relu_or(activation: str, *, inplace: bool = True) -> nn.Module:
    return activation_named(activation, lambda: nn.ReLU(inplace=inplace))


def convolution(into: int, out: int, kernel: int, gain: float = 1.0) -> nn.Module:
    """Of stride 1, that keeps the size."""
    return initialised(nn.Conv2d(into, out, kernel, padding=kernel // 2), gain)


def initialised(layer: nn.Conv2d | nn.Linear, gain: float = 1.0) -> nn.Module:
    """Weights uniform after Glorot and Bengio 2010, biases 0."""
    assert layer.bias is not None
    nn.init.xavier_uniform_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer
