"""Generators and discriminators, one file an architecture.

A generator maps z [B, latent_dim] to images [B, 3, size, size] in [−1, 1]; one without tanh at its end may leave that
range, and is cut off where images are written or scored. A discriminator judges stacks of `pac` images (PacGAN, arXiv
1712.04086; usually pac is 1) and maps [B, 3·pac, size, size] to logits [B, 1]. Each has its config's number as an
attribute: `generator.latent_dim`, `discriminator.pac`. Points of the plane are images of two channels and one pixel in
their own units: [B, 2, 1, 1] in place of [B, 3, size, size].
"""

from typing import Any

from torch import nn

from rgan_bench import register
from rgan_bench.rng import default_generator_from


def build_networks(arch: Any, seed: int) -> tuple[nn.Module, nn.Module]:
    """The generator and the discriminator of a validated arch config, initialised from the seed, on the CPU."""
    with default_generator_from(seed, "networks"):
        generator, discriminator = register.get("network", arch.name)(arch)
    return generator, discriminator


def count_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
