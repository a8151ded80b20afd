"""What the architectures share: the initialisation of the paper's scripts, and activations by name.

Activations work in place: what comes before them, a convolution or batch norm, does not need its own output again.
"""

from collections.abc import Callable
from typing import Any

from torch import nn

from rgan_bench.config.schema import ArchConfig


def choices_of(arch: ArchConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    """What an arch config means for the generator, and for the discriminator."""
    both = {"width": arch.width, "activation": arch.activation}
    generator = {"latent_dim": arch.latent_dim, "batch_norm": arch.batch_norm in ("generator", "both")}
    discriminator = {"pac": arch.pac, "batch_norm": arch.batch_norm == "both", "spectral_norm": arch.spectral_norm}
    return both | generator, both | discriminator


def initialise(network: nn.Module) -> None:
    """Convolutions N(0, 0.02), batch-norm weights N(1, 0.02) and biases 0; linear layers and other biases keep
    PyTorch's defaults.

    To be called before `add_spectral_norm`: writing to a parametrised weight has no effect.
    """
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
            nn.init.zeros_(module.bias)


def activation_named(name: str, default: Callable[[], nn.Module]) -> nn.Module:
    """A new module: the architecture's own activation, or tanh everywhere (a column of table 2)."""
    return nn.Tanh() if name == "tanh" else default()
