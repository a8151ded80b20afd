from collections.abc import Callable

import pytest
import torch

from rgan_bench.config.schema import Config
from rgan_bench.errors import UserError
from rgan_bench.training import memory
from rgan_bench.training.memory import check_memory
from rgan_bench.training.state import TrainState

CPU = torch.device("cpu")


def test_the_average_takes_memory_too(tiny_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights, gradients and two moments of what is trained; of the average the weights alone."""
    for half_life, others in ((0, "their gradients and Adam's"), (30, "their gradients, the average and Adam's")):
        config = tiny_config(f"ema.half_life={half_life}")
        state = TrainState.new(config, CPU)
        generator, discriminator = (
            sum(p.numel() for p in network.parameters()) for network in (state.generator, state.discriminator)
        )
        needed = 4 * (4 * (generator + discriminator) + generator * (half_life > 0))
        monkeypatch.setattr(memory, "free_bytes", lambda device, free=needed: free)
        check_memory(config, CPU)
        monkeypatch.setattr(memory, "free_bytes", lambda device, free=needed: free - 1)
        with pytest.raises(UserError, match=rf"arch\.width=2: {generator + discriminator:,} parameters, {others} mom"):
            check_memory(config, CPU)
