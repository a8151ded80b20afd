"""The same iteration with fewer kernels, for GPUs: at batch 32 launching them takes longer than what they do."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rgan_bench.gan.networks.chain import HOMOGENEOUS, Chain
from rgan_bench.gan.networks.grouped import use_grouped
from rgan_bench.gan.networks.spectral import spectral_norm_of
from rgan_bench.gan.networks.vectors import Ahead

OF_ONE_SAMPLE = (*HOMOGENEOUS, nn.Tanh, nn.Conv2d, nn.Linear, nn.Flatten)  # no sample depends on others


def use_fewer_kernels(generator: nn.Module, discriminator: nn.Module) -> None:
    """Has both, in place, compute the same with fewer kernels where it can be had. Parameters, buffers and their names
    stay.

    Of discriminators it must be known what they do: `in_a_row` gives their layers, where these follow one another;
    others say by `each_layer_once` whether a pass uses each of them once. `logits_of` makes use of either.
    """
    use_grouped(discriminator)
    for module in (*generator.modules(), *discriminator.modules()):
        if type(module) in UNCOUNTED:
            module.__class__ = UNCOUNTED[type(module)]
    found: Any = discriminator
    layers: list[nn.Module] = getattr(discriminator, "in_a_row", list)()
    normed = [module for module in discriminator.modules() if spectral_norm_of(module)]
    plain = discriminator.forward
    if not normed and layers and all(isinstance(layer, OF_ONE_SAMPLE) for layer in layers):
        found.look_ahead, found.takes_several = lambda groups: None, True
        found.forward = lambda *batches: (
            plain(*batches) if len(batches) == 1 else plain(torch.cat(batches)).chunk(len(batches))
        )
    elif normed and layers and Chain.can_be(layers):
        chain = Chain(layers)
        found.look_ahead, found.takes_several = chain.look_ahead, True
        found.forward = lambda *batches: chain(*batches) if discriminator.training else plain(*batches)
    elif normed and (layers or getattr(discriminator, "each_layer_once", False)):
        ahead = Ahead(normed)

        def forward(images: Tensor) -> Any:
            if discriminator.training:
                ahead.give()
            return plain(images)

        found.look_ahead, found.takes_several = lambda groups: ahead.look(sum(groups)), False
        found.forward = forward


def logits_of(discriminator: nn.Module, *batches: Tensor, more: int = 0) -> Sequence[Tensor]:
    """Of each of these batches, equally large, as from one pass for each in this order.

    Args:
        more: passes that follow for certain before the weights change. They share what can be computed at once.
    """
    look_ahead: Callable[[Sequence[int]], None] | None = getattr(discriminator, "look_ahead", None)
    # A derivative is of one batch alone.
    together = getattr(discriminator, "takes_several", False) and not any(each.requires_grad for each in batches)
    if look_ahead:
        look_ahead([*([len(batches)] if together else [1] * len(batches)), *[1] * more])
    if together and len(batches) > 1:
        found: Sequence[Tensor] = discriminator(*batches)
        return found
    return [discriminator(images) for images in batches]


class _Uncounted(nn.modules.batchnorm._BatchNorm):
    """Batch norm whose `num_batches_tracked`, of which nothing depends, is not added to at once: a kernel each time."""

    passes = 0

    def forward(self, images: Tensor) -> Tensor:
        if not (self.training and self.track_running_stats) or self.momentum is None:
            return super().forward(images)
        self.passes += 1
        statistics = self.running_mean, self.running_var
        return F.batch_norm(images, *statistics, self.weight, self.bias, True, self.momentum, self.eps)


class _Uncounted1d(_Uncounted, nn.BatchNorm1d): ...


class _Uncounted2d(_Uncounted, nn.BatchNorm2d): ...


UNCOUNTED: dict[type, type] = {nn.BatchNorm1d: _Uncounted1d, nn.BatchNorm2d: _Uncounted2d}


@torch.no_grad()
def count_batches(*networks: nn.Module) -> None:
    """Adds the passes since the last call to what batch norms count, where that is left to this."""
    for network in networks:
        counters: dict[int, list[Tensor]] = {}
        for module in network.modules():
            if isinstance(module, _Uncounted) and module.passes:
                assert module.num_batches_tracked is not None
                counters.setdefault(module.passes, []).append(module.num_batches_tracked)
                module.passes = 0
        for passes, counted in counters.items():
            torch._foreach_add_(counted, passes)
