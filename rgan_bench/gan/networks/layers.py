"""What the architectures share: the initialisation of the paper's scripts, and activations by name.

Activations work in place: what comes before them, a convolution or batch norm, does not need its own output again.
"""

from collections.abc import Callable

from torch import nn


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
