"""Penalties on the discriminator: (discriminator, real, fake, u) → scalar."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

Penalty = Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]


def no_penalty(discriminator: nn.Module, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    """Zero."""
    return real.new_zeros(())


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
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


PENALTIES: dict[str, Penalty] = {"none": no_penalty, "gp": gradient_penalty}


def get_penalty(name: str, weight: float) -> Penalty:
    """The named penalty times its weight (λ).

    Raises:
        ValueError: there is no such penalty.
    """
    if name not in PENALTIES:
        raise ValueError(f"penalty={name!r}: must be one of {', '.join(PENALTIES)}")
    penalty = PENALTIES[name]
    if penalty is no_penalty:
        return no_penalty
    return lambda discriminator, real, fake, u: weight * penalty(discriminator, real, fake, u)
