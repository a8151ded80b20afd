"""Grouped convolutions that can be differentiated twice without a loop over the groups.

PyTorch's second derivative convolves group by group, with several copies for each: with the R1 and R2 of r3gan32 some
23,000 kernels an iteration. Each of its terms is a convolution, or one of its two gradients, of all groups at once.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class Grouped(nn.Conv2d):
    """A Conv2d of several groups, padded with zeros."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return convolve(input, weight, bias, self.stride, self.padding, self.dilation, self.groups)


def convolve(images: Tensor, weight: Tensor, bias: Tensor | None, *settings: Any) -> Tensor:
    """As F.conv2d, under autocast too."""
    kind = images.device.type
    if torch.is_autocast_enabled(kind):
        images, weight = (each.to(torch.get_autocast_dtype(kind)) for each in (images, weight))
    found: Tensor = Convolution.apply(images, weight, *settings)
    return found if bias is None else found + bias.to(found.dtype)[:, None, None]


def use_grouped(network: nn.Module) -> None:
    """Has the convolutions of several groups in a network, in place, be such, and modules that have a `convolve` of
    their own use this one."""
    for module in network.modules():
        if hasattr(module, "convolve"):
            setattr(module, "convolve", convolve)  # noqa: B010
        if type(module) is nn.Conv2d and module.groups > 1 and module.padding_mode == "zeros":
            module.__class__ = Grouped


class Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, *settings: Any) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.settings = settings
        return convolution(images, weight, settings)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        wanted = [*ctx.needs_input_grad[:2]]
        return *Gradients.apply(gradient, *ctx.saved_tensors, wanted, ctx.settings), *[None] * len(ctx.settings)


class Gradients(torch.autograd.Function):
    """(gradient g of the result, images x, weight w) → those of x and w: both are linear in g, and in w or x."""

    @staticmethod
    def forward(
        ctx: Any, gradient: Tensor, images: Tensor, weight: Tensor, wanted: list[bool], settings: Any
    ) -> tuple[Tensor | None, ...]:
        ctx.save_for_backward(gradient, images, weight)
        ctx.settings = settings
        ctx.set_materialize_grads(False)
        return gradients(gradient, images, weight, wanted, settings)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_images: Tensor | None, by_weight: Tensor | None) -> tuple[Tensor | None, ...]:
        gradient, images, weight = ctx.saved_tensors
        wanted, settings = ctx.needs_input_grad, ctx.settings
        of_gradient = of_images = of_weight = None
        if by_images is not None:
            of_gradient = convolution(by_images, weight, settings) if wanted[0] else None
            of_weight = gradients(gradient, by_images, weight, [False, True], settings)[1] if wanted[2] else None
        if by_weight is not None:
            if wanted[0]:
                more = convolution(images, by_weight, settings)
                of_gradient = more if of_gradient is None else of_gradient + more
            of_images = gradients(gradient, images, by_weight, [True, False], settings)[0] if wanted[1] else None
        return of_gradient, of_images, of_weight, None, None


def convolution(images: Tensor, weight: Tensor, settings: Any) -> Tensor:
    """
    Args:
        settings: stride, padding, dilation, groups.
    """
    return F.conv2d(images, weight, None, *settings)


def gradients(
    gradient: Tensor, images: Tensor, weight: Tensor, wanted: list[bool], settings: Any
) -> tuple[Tensor | None, ...]:
    """Of images and weight, each where it is wanted."""
    *where, groups = settings
    mask = [*wanted, False]
    found = torch.ops.aten.convolution_backward(gradient, images, weight, None, *where, False, [0, 0], groups, mask)
    return found[0] if wanted[0] else None, found[1] if wanted[1] else None
