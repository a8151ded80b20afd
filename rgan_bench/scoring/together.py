"""Fakes that are drawn, and looked at, on all ranks of a run."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from rgan_bench import ranks, register
from rgan_bench.scoring.extractors import Extractor
from rgan_bench.scoring.sampling import NotFinite


def features_of_all(
    own: Iterator[Tensor], extractors: list[Extractor], total: int, batch_size: int, device: torch.device
) -> Iterator[list[Tensor]]:
    """On rank 0 the features of each batch under each extractor, as one device would come to them, in its order. On
    other ranks nothing comes, and the work is done as it is waited for.

    Args:
        own: this rank's batches, every `ranks`-th.
        total: fakes of all ranks.

    Raises:
        NotFinite: on all ranks, where one of them finds its batch so.
    """
    world = ranks.world()
    batches = math.ceil(total / batch_size)
    broken = False
    for start in range(0, batches, world.count):
        images = None
        if start + world.number < batches and not broken:
            try:
                images = next(own)
            except NotFinite:
                broken = True
        of_all = []
        for extractor in extractors:
            width = register.attributes("extractor", extractor.features)["dimensions"]
            block = torch.zeros(batch_size, width, device=device)
            if images is not None:
                block[: len(images)] = extractor(images)
            of_all.append(ranks.gathered(block))
        if ranks.first():
            for offset in range(min(world.count, batches - start)):
                rows = min(batch_size, total - (start + offset) * batch_size)
                yield [parts[offset][:rows] for parts in of_all]
    if ranks.largest(int(broken)):
        raise NotFinite
