"""A run folder with generators in it that nobody trained."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch

from rgan_bench.config.schema import Config
from rgan_bench.run.checkpoint import save_checkpoint
from rgan_bench.training.state import TrainState

POINTS = ("data=ring8", "data.num_images=200", "arch.width=4", "arch.batch_norm=generator", "fid.features=[points]")


def made_run(config: Config, name: str = "run", iterations: tuple[int, ...] = (2, 4)) -> Path:
    """The folder; its checkpoints differ, and their running statistics are not their batches'."""
    checkpoints = Path(name) / "checkpoints"
    checkpoints.mkdir(parents=True)
    for iteration in iterations:
        state = TrainState.new(config, torch.device("cpu"))
        state.iteration = iteration
        torch.manual_seed(iteration)
        with torch.no_grad():
            for parameter in state.generator.parameters():
                parameter += 0.1 * torch.randn_like(parameter)
            state.generator.train()(torch.randn(16, config.arch.latent_dim))
        content = {**state.state_dict(), "config": asdict(config)}
        save_checkpoint(checkpoints / f"iter_{iteration:06d}.pt", content)
    save_checkpoint(checkpoints / "last.pt", content)
    return Path(name)


Tiny = Callable[..., Config]
