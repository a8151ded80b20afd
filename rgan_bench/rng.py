"""Keyed random streams: (seed, stream name, index) → generator.

Nothing here has a state that must be saved: what iteration 1,234 draws depends on its key alone, so that a run that
stops anywhere and resumes draws what the uninterrupted run would have drawn, and scoring, with streams of its own,
cannot disturb training.
"""

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

# From so many times as large a population on, the beginning of a permutation is drawn faster alone; from so many images
# on torch permutes in another way.
WORTH_IT, OTHERWISE = 60, 2**32 // 20


def stream_seed(seed: int, name: str, index: int = 0) -> int:
    """64 bits, different for every (seed, name, index). PyTorch's CPU generator takes the lower 32: of 100,000
    iterations about one pair shares the numbers of a stream."""
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


def draw_batches(batches: int, count: int, population: int, generator: torch.Generator) -> Tensor:
    """What `draw_distinct` gives in so many calls, to the bit, and several times as fast where it permutes a large
    population. int64 [batches, count].

    For streams that end here: where the generator is afterwards is not said.

    Raises:
        ValueError: count exceeds population.
    """
    if count * count <= population or not WORTH_IT * count <= population < OTHERWISE:
        return torch.stack([draw_distinct(count, population, generator) for _ in range(batches)])
    drawn = 2 * math.ceil(count / 2)
    found = []
    for index in range(batches):
        if index:  # a permutation takes one number less than it has places
            _twice_32_bits((population - 1 - drawn) // 2, generator)
            if population % 2 == 0:
                torch.empty(1, dtype=torch.int32).random_(generator=generator)
        pairs = _twice_32_bits(drawn // 2, generator).numpy()
        words = np.stack([pairs >> 32, pairs], axis=1).reshape(-1)[:count] & 0xFFFFFFFF
        found.append(_first_of_permutation(words, population))
    return torch.from_numpy(np.stack(found))


def _twice_32_bits(count: int, generator: torch.Generator) -> Tensor:
    """The generator's next 2 · count numbers as it makes them, two in each of int64 [count]: the upper half first."""
    return torch.empty(count, dtype=torch.int64).random_(-(2**63), None, generator=generator)


def _first_of_permutation(words: np.ndarray, population: int) -> np.ndarray:
    """How torch.randperm(population) begins that draws these numbers [count]: at step i the places i and
    i + words[i] % (population − i) change contents. int64 [count]."""
    steps = np.arange(len(words))
    places = steps + words % (population - steps)
    found = places.copy()  # a place holds its own number, unless an earlier step has used it too
    ordered = np.sort(places)
    for place in {*ordered[1:][ordered[1:] == ordered[:-1]].tolist()}:
        users = np.flatnonzero(places == place).tolist()
        found[users[1:]] = [_content(places, step) for step in users[:-1]]
    return found


def _content(places: np.ndarray, step: int) -> int:
    """Of place `step` before that step."""
    earlier = np.flatnonzero(places[:step] == step)
    return _content(places, int(earlier[-1])) if len(earlier) else step
