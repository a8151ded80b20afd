"""Generators and discriminators, one file an architecture.

A generator maps z [B, latent_dim] to images [B, 3, size, size] in [−1, 1]. A discriminator judges stacks of `pac`
images (PacGAN, arXiv 1712.04086; usually pac is 1) and maps [B, 3·pac, size, size] to logits [B, 1].
"""

from functools import partial
from typing import Any

from torch import nn

from rgan_bench.networks import cnn32, dcgan
from rgan_bench.rng import default_generator_from

# Name → how to make the generator and the discriminator.
ARCHITECTURES = {"cnn32": (cnn32.Generator, cnn32.Discriminator)}
for size in (64, 128, 256):
    ARCHITECTURES[f"dcgan{size}"] = (
        partial(dcgan.Generator, image_size=size),
        partial(dcgan.Discriminator, image_size=size),
    )


def build_networks(arch: Any, seed: int) -> tuple[nn.Module, nn.Module]:
    """The generator and the discriminator of a validated arch config, initialised from the seed, on the CPU."""
    make_generator, make_discriminator = ARCHITECTURES[arch.name]
    with default_generator_from(seed, "networks"):
        generator = make_generator(
            latent_dim=arch.latent_dim,
            width=arch.width,
            batch_norm=arch.batch_norm in ("generator", "both"),
            activation=arch.activation,
        )
        discriminator = make_discriminator(
            pac=arch.pac,
            width=arch.width,
            batch_norm=arch.batch_norm == "both",
            spectral_norm=arch.spectral_norm,
            activation=arch.activation,
        )
    return generator, discriminator


def count_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
