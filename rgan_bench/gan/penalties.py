"""Penalties on the discriminator C, mostly on its gradient with respect to images.

A penalty with `points` is a function of that gradient [B, C, H, W], and is added up over its points: `real` and `fake`,
at which the discriminator step has computed the logits already, and `mixed`, x̂ = u·real + (1 − u)·fake, which takes a
pass of its own. Any other penalty is a function of (discriminator, real, fake, u). Images are stacks of arch.pac.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rgan_bench import register
from rgan_bench.register import penalty

Penalty = Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]
Logits = dict[str, Tensor]  # of "real" and "fake", computed from images that require a gradient


@penalty("none")
def no_penalty(discriminator: nn.Module, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    """Zero."""
    return real.new_zeros(())


@penalty("gp", points=("mixed",), weight=10.0)
def gradient_penalty(gradient: Tensor) -> Tensor:
    """mean((‖∇C‖₂ − 1)²), Gulrajani et al. 2017 (arXiv 1704.00028)."""
    return (l2_norm(gradient) - 1).square().mean()


@penalty("lp", points=("mixed",), weight=10.0)
def lipschitz_penalty(gradient: Tensor) -> Tensor:
    """mean(relu(‖∇C‖₂ − 1)²): gp from one side, Petzka et al. 2018 (arXiv 1709.08894)."""
    return F.relu(l2_norm(gradient) - 1).square().mean()


@penalty("zero_gp", points=("mixed",), weight=10.0)
def zero_centered_penalty(gradient: Tensor) -> Tensor:
    """mean(‖∇C‖₂²), Thanh-Tung et al. 2019 (arXiv 1902.03984)."""
    return squared_norm(gradient).mean()


@penalty("maxgp", points=("mixed",), weight=1.0)
def largest_gradient_penalty(gradient: Tensor) -> Tensor:
    """max(‖∇C‖₂²) over the batch, Zhou et al. 2019 (arXiv 1902.05687)."""
    return squared_norm(gradient).max()


@penalty("magan", points=("mixed",), weight=20.0)
def largest_pixel_penalty(gradient: Tensor) -> Tensor:
    """mean(relu(‖∇C‖∞ − 1)), Jolicoeur-Martineau and Mitliagkas 2019 (arXiv 1910.06922)."""
    return F.relu(gradient.flatten(1).abs().amax(dim=1) - 1).mean()


@penalty("r1", points=("real",), weight=10.0)
def r1(gradient: Tensor) -> Tensor:
    """mean(‖∇C‖₂²) / 2 at reals, Mescheder et al. 2018 (arXiv 1801.04406). Its weight is called γ there."""
    return squared_norm(gradient).mean() / 2


@penalty("r2", points=("fake",), weight=10.0)
def r2(gradient: Tensor) -> Tensor:
    """As r1, at fakes."""
    return squared_norm(gradient).mean() / 2


@penalty("r1r2", points=("real", "fake"), weight=10.0)
def r1r2(gradient: Tensor) -> Tensor:
    """r1 and r2 added, as R3GAN has it (Huang et al. 2024, arXiv 2501.05441)."""
    return squared_norm(gradient).mean() / 2


def l2_norm(gradient: Tensor) -> Tensor:
    """Of each sample, over all its pixels and colours: [B, …] → [B]."""
    norm: Tensor = gradient.flatten(1).norm(dim=1)
    return norm


def squared_norm(gradient: Tensor) -> Tensor:
    """Smooth where the gradient is zero, which a norm is not."""
    return gradient.flatten(1).square().sum(dim=1)


@dataclass(frozen=True)
class Weighted:
    """A registered penalty times its weight (λ, or γ)."""

    name: str
    weight: float

    @property
    def points(self) -> tuple[str, ...]:
        return tuple(register.attributes("penalty", self.name).get("points") or ())

    def watch(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """The images, such that their logits can be differentiated with respect to them where the penalty does."""
        if "real" in self.points:
            real = real.detach().requires_grad_(True)
        if "fake" in self.points:
            fake = fake.detach().requires_grad_(True)
        return real, fake

    def __call__(
        self, discriminator: nn.Module, real: Tensor, fake: Tensor, u: Tensor, logits: Logits | None = None
    ) -> Tensor:
        """
        Args:
            real, fake: images [B, C, H, W]; no gradient flows back into them.
            u: uniform in [0, 1], one number per sample, [B, 1, 1, 1].
            logits: of images that `watch` gave; None: a pass for each point is made here.
        """
        found = register.get("penalty", self.name)
        if not self.points:
            value: Tensor = found(discriminator, real, fake, u)
            return self.weight * value
        values = []
        for point in self.points:
            images = {"real": real, "fake": fake}.get(point)
            if logits is None or images is None:
                images = (u * real + (1 - u) * fake) if images is None else images
                images = images.detach().requires_grad_(True)
                of_images = discriminator(images)
            else:
                of_images = logits[point]
            (gradient,) = torch.autograd.grad(of_images.sum(), images, create_graph=True)
            values.append(found(gradient))
        return self.weight * (values[0] if len(values) == 1 else torch.stack(values).sum())


NO_PENALTY = Weighted("none", 0.0)


def get_penalty(name: str, weight: float | None = None) -> Weighted:
    """
    Args:
        weight: None: the penalty's own.

    Raises:
        ValueError: there is no such penalty.
    """
    register.get("penalty", name)
    return NO_PENALTY if name == "none" else Weighted(name, own_weight(name) if weight is None else weight)


def own_weight(name: str) -> float:
    weight: float | None = register.attributes("penalty", name).get("weight")
    return 10.0 if weight is None else weight
