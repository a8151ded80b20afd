"""The same iteration with fewer kernels, for GPUs: at batch 32 launching them takes longer than what they do."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rgan_bench.gan.networks.chain import HOMOGENEOUS, Chain
from rgan_bench.gan.networks.grouped import use_grouped
from rgan_bench.gan.networks.spectral import spectral_norm_of

OF_ONE_SAMPLE = (*HOMOGENEOUS, nn.Tanh, nn.Conv2d, nn.Linear, nn.Flatten)  # no sample depends on others


def use_fewer_kernels(generator: nn.Module, discriminator: nn.Module) -> None:
    """Has both, in place, compute the same with fewer kernels where it can be had. Parameters, buffers and their names
    stay.

    A discriminator that says by a method `in_a_row` of which layers it consists may then take several batches, equally
    large, in one pass: `logits_of` makes use of it. Batch norms count batches when `count_batches` has them do so.
    """
    use_grouped(discriminator)
    for module in (*generator.modules(), *discriminator.modules()):
        if type(module) in UNCOUNTED:
            module.__class__ = UNCOUNTED[type(module)]
    layers: list[nn.Module] = getattr(discriminator, "in_a_row", list)()
    if not layers or not all(isinstance(layer, OF_ONE_SAMPLE) for layer in layers):
        return
    found: Any = discriminator
    plain = discriminator.forward
    if not any(map(spectral_norm_of, layers)):
        found.look_ahead = lambda groups: None
        found.forward = lambda *batches: (
            plain(*batches) if len(batches) == 1 else plain(torch.cat(batches)).chunk(len(batches))
        )
    elif Chain.can_be(layers):
        chain = Chain(layers)
        found.look_ahead = chain.look_ahead
        found.forward = lambda *batches: chain(*batches) if discriminator.training else plain(*batches)


def logits_of(discriminator: nn.Module, *batches: Tensor, more: int = 0) -> Sequence[Tensor]:
    """Of each of these batches, equally large, as from one pass for each in this order.

    Args:
        more: passes that follow for certain before the weights change. They share what can be computed at once.
    """
    look_ahead: Callable[[Sequence[int]], None] | None = getattr(discriminator, "look_ahead", None)
    # A derivative is of one batch alone.
    together = look_ahead and len(batches) > 1 and not any(images.requires_grad for images in batches)
    if look_ahead:
        look_ahead([*([len(batches)] if together else [1] * len(batches)), *[1] * more])
    if together:
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
