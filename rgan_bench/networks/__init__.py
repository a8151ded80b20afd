"""Generators and discriminators, one file an architecture.

A generator maps z [B, latent_dim] to images [B, 3, size, size] in [−1, 1], a discriminator images to logits [B, 1].
"""

from typing import Any

from torch import nn

from rgan_bench.networks import cnn32
from rgan_bench.rng import default_generator_from

BUILDERS = {"cnn32": cnn32.build}


def build_networks(arch: Any, seed: int) -> tuple[nn.Module, nn.Module]:
    """The generator and the discriminator of a validated arch config, initialised from the seed, on the CPU."""
    with default_generator_from(seed, "networks"):
        return BUILDERS[arch.name](arch)


def count_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
