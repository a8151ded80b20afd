"""Penalties on the discriminator: (discriminator, real, fake, u) → scalar."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rgan_bench import register
from rgan_bench.register import penalty

Penalty = Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]


@penalty("none")
def no_penalty(discriminator: nn.Module, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    """Zero."""
    return real.new_zeros(())


@penalty("gp")
def gradient_penalty(discriminator: nn.Module, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    """mean((‖∇C(x̂)‖₂ − 1)²) at x̂ = u·real + (1 − u)·fake, Gulrajani et al. 2017 (arXiv 1704.00028).

    Args:
        discriminator: C, images to logits.
        real, fake: images [B, C, H, W]; no gradient flows back into them.
        u: mixing weights in [0, 1], one a sample, [B, 1, 1, 1].
    """
    mixed = (u * real + (1 - u) * fake).detach().requires_grad_(True)
    logits = discriminator(mixed)
    (gradient,) = torch.autograd.grad(logits.sum(), mixed, create_graph=True)
    norms: Tensor = gradient.flatten(1).norm(dim=1)
    return (norms - 1).square().mean()


@dataclass(frozen=True)
class Weighted:
    """A registered penalty times its weight (λ)."""

    name: str
    weight: float

    def __call__(self, discriminator: nn.Module, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
        found: Penalty = register.get("penalty", self.name)
        return self.weight * found(discriminator, real, fake, u)


NO_PENALTY = Weighted("none", 0.0)


def get_penalty(name: str, weight: float) -> Weighted:
    """
    Raises:
        ValueError: there is no such penalty.
    """
    register.get("penalty", name)
    return NO_PENALTY if name == "none" else Weighted(name, weight)
