"""Generator → uint8 images, or points. Leaves the generator as it found it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn

from rgan_bench.rng import stream

READ_AT_ONCE = ("cpu",)  # devices that are read from without waiting for them


class NotFinite(ValueError):
    """A weight of the generator, or an image that it makes, is NaN or infinite."""

    def __init__(self) -> None:
        super().__init__("the generator's weights, or the images that it makes, are not finite")


def to_uint8(images: Tensor) -> Tensor:
    """[−1, 1] → 0…255, rounded, contiguous."""
    return ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8, memory_format=torch.contiguous_format)


def as_they_are(values: Tensor) -> Tensor:
    return values


def sample(
    generator: nn.Module,
    count: int,
    *,
    seed: int,
    purpose: str,
    batch_norm: str,
    batch_size: int,
    stored: Callable[[Tensor], Tensor] = to_uint8,
    check_each: bool = False,
    share: tuple[int, int] = (0, 1),
) -> Iterator[Tensor]:
    """`count` fakes in batches, uint8 [≤ batch_size, 3, H, W], on the generator's device.

    The same seed and purpose give the same latents, whatever else has been drawn.

    Args:
        generator: has `latent_dim`.
        seed, purpose: key the latents' stream, one a batch.
        batch_norm: "batch" normalises each batch by its own statistics, as the paper sampled; "running" by the
            generator's running statistics.
        batch_size: images a forward pass. The last pass is full too, and cut: under batch statistics an image
            depends on the size of its batch.
        stored: what the generator makes → as data sets store it. Points: `as_they_are`.
        share: (k, n): of every n batches the k-th alone, from 0.
        check_each: for who does not wait for the last batch before the first is used.

    Raises:
        NotFinite: as 8 bits, NaN would look like an image. Before the batch that holds it; on a GPU, where a look at
            each would make the host wait for it, before the last one, unless `check_each`: nobody gets all of them.
    """
    device = next(generator.parameters()).device
    latent_dim = cast(int, generator.latent_dim)  # to a checker every attribute of a module is a tensor or a module
    finite = weights_are_finite(generator, batch_norm)
    batches = [*enumerate(range(0, count, batch_size))][share[0] :: share[1]]
    for index, start in batches:
        z = torch.randn(batch_size, latent_dim, generator=stream(seed, purpose, index)).to(device)
        with borrowed(generator, batch_norm), torch.no_grad():
            values = generator(z)[: count - start]
        finite = finite & torch.isfinite(values).all()
        last = index == batches[-1][0]
        if (last or check_each or device.type in READ_AT_ONCE) and not finite:
            raise NotFinite
        yield stored(values)


def weights_are_finite(generator: nn.Module, batch_norm: str) -> Tensor:
    """A boolean on the generator's device. Infinite weights can saturate into images that look sound; running
    statistics count where they are used."""
    used = [*generator.parameters(), *(generator.buffers() if batch_norm == "running" else ())]
    return torch.stack([torch.isfinite(tensor).all() for tensor in used]).all()


def batch_norms(generator: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    return [module for module in generator.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


def set_batch_norm(generator: nn.Module, batch_norm: str) -> nn.Module:
    """The generator itself, which from now on uses batch statistics in train mode, running ones in eval mode, and
    changes the latter in neither.

    Args:
        batch_norm: "batch" or "running": the mode that it is put into.
    """
    for norm in batch_norms(generator):
        norm.track_running_stats = False
    return generator.train(batch_norm == "batch")


@contextmanager
def borrowed(generator: nn.Module, batch_norm: str) -> Iterator[None]:
    """Puts the generator into the wanted batch-norm mode; afterwards its modes and buffers are as they were."""
    modes = {module: module.training for module in generator.modules()}
    norms = [norm for norm in batch_norms(generator) if norm.track_running_stats]
    set_batch_norm(generator, batch_norm)
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
        for module, training in modes.items():
            module.training = training
