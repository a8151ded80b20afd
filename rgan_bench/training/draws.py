"""The random numbers of training iterations: drawn on the CPU from keyed streams, brought to a GPU in blocks."""

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from rgan_bench.config.schema import Config
from rgan_bench.rng import draw_batches, stream

BLOCK = 32  # iterations brought over at once: a copy of its own for each would stall a GPU
BLOCK_NUMBERS = 1 << 26  # of noise in a block, at most: 256 MB

Draws = tuple[Tensor, ...]


def draws(
    config: Config,
    population: int,
    real_batches: int,
    start: int,
    device: torch.device,
    noise: Mapping[str, tuple[int, ...]] | None = None,
) -> Iterator[Draws]:
    """For each iteration from `start` on, on the device:

    - indices of real images, distinct within a batch, int64 [real_batches, B·pac]; with data.flip, those of mirrored
      images lie `population` higher, as ImageDataset.batch takes them;
    - latents z ~ N(0, 1) [n_d + 1, B·pac, latent_dim];
    - mixing weights of a penalty u ~ U(0, 1) [n_d, B, 1, 1, 1];
    - each name's `noise` in its shape: `near` U(0, 1), others N(0, 1).

    Each iteration's are keyed by it alone: where a run starts changes nothing.
    """
    stop, noise = config.train.iterations, noise or {}
    numbers = sum(map(math.prod, noise.values()))
    size = max(1, min(BLOCK, BLOCK_NUMBERS // numbers)) if numbers else BLOCK
    for first in range(start, stop, size):
        keys = range(first, min(first + size, stop))
        block = [
            draw(config, population, real_batches, key)
            + tuple(draw_noise(config.seed, name, shape, key) for name, shape in noise.items())
            for key in keys
        ]
        yield from block if device.type != "cuda" else _bring(block, device)


def draw(config: Config, population: int, real_batches: int, key: int) -> Draws:
    """Of one iteration, on the CPU."""
    batch_size, n_d = config.train.batch_size, config.optim.n_d
    packed = batch_size * config.arch.pac  # a batch of B verdicts takes B·pac reals and B·pac fakes
    reals = stream(config.seed, "train/real", key)
    indices = draw_batches(real_batches, packed, population, reals)
    if config.data.flip:
        sides = torch.randint(2, indices.shape, generator=stream(config.seed, "train/flip", key))
        indices = indices + population * sides
    z = torch.randn(n_d + 1, packed, config.arch.latent_dim, generator=stream(config.seed, "train/latent", key))
    u = torch.rand(n_d, batch_size, 1, 1, 1, generator=stream(config.seed, "train/penalty", key))
    return indices, z, u


def draw_noise(seed: int, name: str, shape: tuple[int, ...], key: int) -> Tensor:
    """Of one iteration, on the CPU."""
    generator = stream(seed, f"train/noise/{name}", key)
    return (torch.rand if name == "near" else torch.randn)(shape, generator=generator)


def _bring(block: list[Draws], device: torch.device) -> Iterator[Draws]:
    """One copy per kind; pinned, since without that the host would wait for the device."""
    brought = (torch.stack(parts).pin_memory().to(device, non_blocking=True) for parts in zip(*block, strict=True))
    for parts in zip(*brought, strict=True):
        # Copies, not views into the block: kernels choose by alignment, and where in its block an iteration lies
        # depends on where the run was resumed.
        yield tuple(part.clone() for part in parts)
