"""`TrainState`: everything of a run that must survive a crash."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from rgan_bench.networks import build_networks
from rgan_bench.protocol import ScoreHistory
from rgan_bench.schema import Config


@dataclass
class TrainState:
    """Networks, optimizers and counters. Random streams are keyed by `iteration`, so none is stored.

    Attributes:
        iteration: generator steps done.
        scores: protocol fingerprint → history. Scores under different protocols never share one.
        training_seconds: spent in iterations, over all sessions.
        wall_seconds: spent altogether, over all sessions.
    """

    generator: nn.Module
    discriminator: nn.Module
    generator_optimizer: torch.optim.Optimizer
    discriminator_optimizer: torch.optim.Optimizer
    iteration: int = 0
    scores: dict[str, ScoreHistory] = field(default_factory=dict)
    training_seconds: float = 0.0
    wall_seconds: float = 0.0

    MODULES = ("generator", "discriminator", "generator_optimizer", "discriminator_optimizer")

    @classmethod
    def new(cls, config: Config, device: torch.device) -> "TrainState":
        """Iteration 0, initialised from the seed."""
        generator, discriminator = (
            # Channels last: the layout in which convolutions run fastest, on CPUs and on tensor cores.
            network.train().to(device, memory_format=torch.channels_last)
            for network in build_networks(config.arch, config.seed)
        )

        def adam(network: nn.Module) -> torch.optim.Adam:
            return torch.optim.Adam(
                network.parameters(), lr=config.optim.lr, betas=tuple(config.optim.betas), fused=True
            )

        return cls(generator, discriminator, adam(generator), adam(discriminator))

    def state_dict(self) -> dict[str, Any]:
        """Tensors and primitives only."""
        return {
            "iteration": self.iteration,
            **{name: getattr(self, name).state_dict() for name in self.MODULES},
            "scores": [history.as_dict() for history in self.scores.values()],
            "training_seconds": self.training_seconds,
            "wall_seconds": self.wall_seconds,
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """
        Raises:
            KeyError, RuntimeError, ValueError: `saved` is not of these networks.
        """
        for name in self.MODULES:
            getattr(self, name).load_state_dict(saved[name])
        self.iteration = saved["iteration"]
        histories = [ScoreHistory.from_dict(entry) for entry in saved["scores"]]
        self.scores = {history.protocol.fingerprint: history for history in histories}
        self.training_seconds = saved["training_seconds"]
        self.wall_seconds = saved["wall_seconds"]
