"""Keyed random streams: (seed, stream name, index) → generator.

Nothing here has a state that must be saved: what iteration 1,234 draws depends on its key alone, so that a run that
stops anywhere and resumes draws what the uninterrupted run would have drawn, and scoring, with streams of its own,
cannot disturb training.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def stream_seed(seed: int, name: str, index: int = 0) -> int:
    """64 bits that are independent for every distinct (seed, name, index)."""
    digest = hashlib.blake2b(f"{seed}/{name}/{index}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)  # torch takes seeds from the signed range


def stream(seed: int, name: str, index: int = 0) -> torch.Generator:
    """A CPU generator for this key. CPU on every machine, so that a seed means the same draws on a GPU."""
    return torch.Generator().manual_seed(stream_seed(seed, name, index))


@contextmanager
def default_generator_from(seed: int, name: str) -> Iterator[None]:
    """Within the block PyTorch's global CPU generator is this stream; afterwards it is as it was.

    For code that takes no generator, such as the default initialisation of layers.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(stream_seed(seed, name))
        yield


def draw_distinct(count: int, population: int, generator: torch.Generator) -> Tensor:
    """`count` different indices below `population`, each ordered choice equally likely. int64 [count].

    Raises:
        ValueError: count exceeds population.
    """
    if count > population:
        raise ValueError(f"cannot draw {count} distinct indices from {population}")
    if count * count > population:
        return torch.randperm(population, generator=generator)[:count]
    # Few out of many: drawing again on the rare collision (chance below 1/2) is far cheaper than permuting them all.
    while True:
        indices = torch.randint(population, (count,), generator=generator)
        if len(set(indices.tolist())) == count:
            return indices
