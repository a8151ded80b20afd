"""Penalties on the discriminator C, most of them on its gradient with respect to images.

A gradient penalty is a product: the points at which the gradient is taken, the norm over each sample's pixels and
colours, the shape that says which norms are too large, and how the batch is reduced. A name stands for one choice of
each, and for a weight. It is added up over its points:

    real, fake    at which the discriminator step has computed the logits already
    mixed         x̂ = u·real + (1 − u)·fake, which takes a pass of its own
    near          real + ½·std(real)·noise, noise ~ U(0, 1) of the same shape, which takes one too

Any other penalty is a function of (discriminator, real, fake, u), and of what its decorator says that it `needs`.
Images are stacks of arch.pac. Several penalties are added up.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rgan_bench import ranks, register
from rgan_bench.config.combinations import as_list, own_weights, parts_of
from rgan_bench.register import penalty

Tensors = dict[str, Tensor]
Weight = float | Tensor
Step = Callable[[Tensor], Tensor]

NORMS: dict[str, Step] = {
    "l1": lambda gradient: gradient.flatten(1).abs().sum(dim=1),
    "l2": lambda gradient: gradient.flatten(1).norm(dim=1),
    "linf": lambda gradient: gradient.flatten(1).abs().amax(dim=1),
}
SHAPES: dict[str, Step] = {
    "centered": lambda norm: (norm - 1).square(),
    "one_sided": lambda norm: F.relu(norm - 1).square(),
    "hinge": lambda norm: F.relu(norm - 1),
    "square": lambda norm: norm.square(),
    "half_square": lambda norm: norm.square() / 2,
}
REDUCTIONS: dict[str, Step] = {"mean": Tensor.mean, "max": Tensor.max}


@penalty("none", first_order=True)
def no_penalty(discriminator: nn.Module, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    """Zero."""
    return real.new_zeros(())


# The two added, as R3GAN has it: Huang et al. 2024, arXiv 2501.05441.
@penalty("r1r2", points=("real", "fake"), norm="l2", shape="half_square", reduce="mean", weight=10.0)
@penalty("r2", points=("fake",), norm="l2", shape="half_square", reduce="mean", weight=10.0)
# Mescheder et al. 2018, arXiv 1801.04406. The weight is called γ there.
@penalty("r1", points=("real",), norm="l2", shape="half_square", reduce="mean", weight=10.0)
# Around the reals: Kodali et al. 2017, arXiv 1705.07215. Codes differ in the noise.
@penalty("dragan", points=("near",), norm="l2", shape="centered", reduce="mean", weight=10.0)
# The largest pixel: Jolicoeur-Martineau and Mitliagkas 2019, arXiv 1910.06922.
@penalty("magan", points=("mixed",), norm="linf", shape="hinge", reduce="mean", weight=20.0)
# The largest of the batch: Zhou et al. 2019, arXiv 1902.05687.
@penalty("maxgp", points=("mixed",), norm="l2", shape="square", reduce="max", weight=1.0)
# Zero-centered: Thanh-Tung et al. 2019, arXiv 1902.03984.
@penalty("zero_gp", points=("mixed",), norm="l2", shape="square", reduce="mean", weight=10.0)
# From one side: Petzka et al. 2018, arXiv 1709.08894.
@penalty("lp", points=("mixed",), norm="l2", shape="one_sided", reduce="mean", weight=10.0)
# Gulrajani et al. 2017, arXiv 1704.00028.
@penalty("gp", points=("mixed",), norm="l2", shape="centered", reduce="mean", weight=10.0)
def gradient_penalty(gradient: Tensor, *, norm: str, shape: str, reduce: str) -> Tensor:
    """reduce(shape(norm(∇C))), of the gradient [B, C, H, W] at one kind of points; reduced over all ranks."""
    if norm == "l2" and shape in ("square", "half_square"):  # smooth where the gradient is zero, which a norm is not
        squared = gradient.flatten(1).square().sum(dim=1)
        reduced = REDUCTIONS[reduce](ranks.everywhere(squared))
        return reduced / 2 if shape == "half_square" else reduced
    return REDUCTIONS[reduce](ranks.everywhere(SHAPES[shape](NORMS[norm](gradient))))


@penalty("ar1r2", weight=1000.0, needs=("logits", "noise"), first_order=True)
def approximate_r1r2(
    discriminator: nn.Module, real: Tensor, fake: Tensor, u: Tensor, *, logits: Tensors, noise: Tensors
) -> Tensor:
    """mean (C(x) − C(x + σε))² at reals and at fakes, ε ~ N(0, 1), σ = 0.1: R1 and R2 by finite differences, Lin et al.
    2025 (arXiv 2501.08316). With the logits that are there, a pass for each of the two, and no second derivative."""
    sigma = 0.1
    shifts = [
        (logits[name] - discriminator(images + sigma * noise[name])).square().mean()
        for name, images in (("real", real), ("fake", fake))
    ]
    return torch.stack(shifts).sum()


@penalty("lecam", weight=0.3, needs=("logits", "memory"), first_order=True, memory=3)
def lecam(
    discriminator: nn.Module, real: Tensor, fake: Tensor, u: Tensor, *, logits: Tensors, memory: Tensor
) -> Tensor:
    """mean relu(r − f̄)² + mean relu(r̄ − f)², with r̄ and f̄ moving averages of the logits' means, this step's among them:
    Tseng et al. 2021 (arXiv 2104.03310).

    Args:
        memory: r̄, f̄, and 1 once they have been set; zeros before the first step.
    """
    with torch.no_grad():
        means = torch.stack([ranks.everywhere(logits[name]).mean() for name in ("real", "fake")]).to(memory)
        memory[:2] = torch.lerp(means, memory[:2], 0.99 * memory[2])
        memory[2:].fill_(1.0)  # a number assigned would be copied from the host, which a CUDA graph cannot hold
    of_reals = F.relu(logits["real"] - memory[1]).square().mean()
    return of_reals + F.relu(memory[0] - logits["fake"]).square().mean()


@dataclass(frozen=True)
class Weighted:
    """A registered penalty, times its weight (λ, or γ).

    Attributes:
        points: at which it takes the gradient; empty: it is no function of one.
        parts: norm, shape and reduce of a gradient penalty; empty where a plugin's has no such parts.
    """

    name: str
    weight: Weight
    points: tuple[str, ...] = ()
    parts: dict[str, str] = field(default_factory=dict)

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(register.attributes("penalty", self.name).get("needs") or ())


@dataclass(frozen=True)
class Penalties:
    """Penalties that are added up; none of them: zero."""

    each: tuple[Weighted, ...] = ()

    @cached_property
    def points(self) -> frozenset[str]:
        return frozenset(point for one in self.each for point in one.points)

    @cached_property
    def noise(self) -> tuple[str, ...]:
        """Names of the noise that they take, of the shape of the images: uniform, and normal for real and for fake."""
        normal = ("real", "fake") if any("noise" in one.needs for one in self.each) else ()
        return ("near",) * ("near" in self.points) + normal

    @property
    def passes(self) -> int:
        """Of the discriminator, that its points take for themselves."""
        return len(self.points - {"real", "fake"})

    def weighing(self, weight: Weight | None) -> "Penalties":
        """With another weight of the one penalty that there is. None: as they are."""
        if weight is None:
            return self
        (one,) = self.each
        return Penalties((replace(one, weight=weight),))

    def watch(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """The images, such that their logits can be differentiated with respect to them where a penalty does."""
        if "real" in self.points:
            real = real.detach().requires_grad_(True)
        if "fake" in self.points:
            fake = fake.detach().requires_grad_(True)
        return real, fake

    def __call__(
        self,
        discriminator: nn.Module,
        real: Tensor,
        fake: Tensor,
        u: Tensor,
        *,
        logits: Tensors | None = None,
        noise: Tensors | None = None,
        memory: Tensors | None = None,
    ) -> Tensor:
        """
        Args:
            real, fake: images [B, C, H, W]; no gradient flows back into them.
            u: uniform in [0, 1], one number per sample, [B, 1, 1, 1].
            logits: of `real` and `fake`, computed from images that `watch` gave; None: they are computed here.
            noise: what `self.noise` names, as images are.
            memory: name of a penalty → what it keeps from step to step, and changes here.

        Raises:
            ValueError: noise or memory is needed, and missing.
        """
        if logits is None:
            real, fake = self.watch(real.detach(), fake.detach())
        images = {"real": real, "fake": fake}
        given = Given(discriminator, images, u, dict(logits or {}), noise or {}, memory or {})
        values = [one.weight * given.value(one) for one in self.each]
        if not values:
            return real.new_zeros(())
        return values[0] if len(values) == 1 else torch.stack(values).sum()


NO_PENALTY = Penalties()


@dataclass
class Given:
    """What penalties of one step are computed from; each gradient once, whichever of them take it.

    Attributes:
        images, logits: by the points, those that are made on the way too.
    """

    discriminator: nn.Module
    images: Tensors
    u: Tensor
    logits: Tensors
    noise: Tensors
    memory: Tensors
    gradients: Tensors = field(default_factory=dict)

    def value(self, one: Weighted) -> Tensor:
        found = register.get("penalty", one.name)
        if not one.points:
            value: Tensor = found(self.discriminator, self.images["real"], self.images["fake"], self.u, **self.of(one))
            return ranks.mean(value)
        values = [found(self.gradient(point), **one.parts) for point in one.points]
        values = values if one.parts else list(map(ranks.mean, values))  # a plugin's has reduced its rows alone
        return values[0] if len(values) == 1 else torch.stack(values).sum()

    def of(self, one: Weighted) -> dict[str, Any]:
        """What its decorator says that it needs."""
        needed: dict[str, Any] = {}
        if "logits" in one.needs:
            needed["logits"] = {name: self.logits_of(name) for name in ("real", "fake")}
        if "noise" in one.needs:
            needed["noise"] = {name: self.known(self.noise, name, "noise") for name in ("real", "fake")}
        if "memory" in one.needs:
            needed["memory"] = self.known(self.memory, one.name, "memory")
        return needed

    def known(self, kind: Tensors, name: str, what: str) -> Tensor:
        if name not in kind:
            raise ValueError(f"the penalty needs {what}: {name}")
        return kind[name]

    def logits_of(self, point: str) -> Tensor:
        if point not in self.logits:
            self.logits[point] = self.discriminator(self.images[point])
        return self.logits[point]

    def gradient(self, point: str) -> Tensor:
        """Of the logits with respect to the images there, [B, C, H, W], to be differentiated once more."""
        if point not in self.gradients:
            if point not in self.images:
                self.images[point] = self.made(point).detach().requires_grad_(True)
            of_images = self.logits_of(point)
            (self.gradients[point],) = torch.autograd.grad(of_images.sum(), self.images[point], create_graph=True)
        return self.gradients[point]

    def made(self, point: str) -> Tensor:
        """The images of a point that is neither of the two."""
        real, fake = self.images["real"], self.images["fake"]
        if point == "mixed":
            return self.u * real + (1 - self.u) * fake
        return real + 0.5 * ranks.everywhere(real.detach()).std() * self.known(self.noise, point, "noise")


def get_penalties(names: str | Sequence[str], weights: Any = None, **parts: Any) -> Penalties:
    """
    Args:
        names: one, or several, which are added up.
        weights: as many; None: each one's own.
        parts: points, norm, shape, reduce, where they are not the penalty's own; None: they are.

    Raises:
        ValueError: there is no such penalty, or it has no such part.
    """
    found = []
    own = own_weights(as_list(names)) if weights is None else as_list(weights)
    for name, weight in zip(as_list(names), own, strict=True):
        register.get("penalty", name)
        points, rest = parts_of(name, parts)
        if name != "none":
            found.append(Weighted(name, weight, points, rest))
    return Penalties(tuple(found))


def memory_of(penalties: Penalties, device: torch.device) -> Tensors:
    """Name of a penalty → what it keeps from step to step, as it is before the first one."""
    sizes = {one.name: register.attributes("penalty", one.name).get("memory") or 0 for one in penalties.each}
    return {name: torch.zeros(size, device=device) for name, size in sizes.items() if size}
