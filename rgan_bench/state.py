"""`TrainState`: everything of a run that must survive a crash."""

import json
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

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
        failed_scores: {iteration, reason} of each score that could not be had.
        diverged: {iteration, not_finite} where a number was first seen not to be finite.
        diversity: {iteration, pixel_sd} of the newest sample grid.
    """

    generator: nn.Module
    discriminator: nn.Module
    generator_optimizer: torch.optim.Optimizer
    discriminator_optimizer: torch.optim.Optimizer
    memory_format: torch.memory_format = torch.channels_last
    iteration: int = 0
    scores: dict[str, ScoreHistory] = field(default_factory=dict)
    training_seconds: float = 0.0
    wall_seconds: float = 0.0
    failed_scores: list[dict[str, Any]] = field(default_factory=list)
    diverged: dict[str, Any] | None = None
    diversity: dict[str, Any] | None = None

    MODULES = ("generator", "discriminator", "generator_optimizer", "discriminator_optimizer")
    PLAIN = ("training_seconds", "wall_seconds", "failed_scores", "diverged", "diversity")

    @classmethod
    def new(cls, config: Config, device: torch.device, *, plain: bool = False) -> "TrainState":
        """Iteration 0, initialised from the seed.

        Args:
            plain: contiguous tensors, and Adam one tensor at a time.
        """
        # Channels last: the layout in which convolutions run fastest, on CPUs and on tensor cores.
        memory_format = torch.contiguous_format if plain else torch.channels_last
        generator, discriminator = (
            network.train().to(device, memory_format=memory_format)
            for network in build_networks(config.arch, config.seed)
        )

        def adam(network: nn.Module) -> torch.optim.Adam:
            return torch.optim.Adam(
                network.parameters(),
                lr=config.optim.lr,
                betas=tuple(config.optim.betas),
                fused=not plain,
                foreach=False,
                capturable=not plain and device.type == "cuda",  # its step counter lies on the device
            )

        return cls(generator, discriminator, adam(generator), adam(discriminator), memory_format)

    def tensors(self) -> list[Tensor]:
        """Everything that an iteration changes."""
        found: list[Tensor] = []
        for network in (self.generator, self.discriminator):
            found += [*network.parameters(), *network.buffers()]
        for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
            found += [moment for moments in optimizer.state.values() for moment in moments.values()]
        return found

    def progress(self) -> tuple[int, int, int]:
        """Iterations, scores and failed scores so far: equal at two moments of one run, the states are equal."""
        return self.iteration, sum(len(h.entries) for h in self.scores.values()), len(self.failed_scores)

    def state_dict(self) -> dict[str, Any]:
        """Tensors and primitives only."""
        return {
            "iteration": self.iteration,
            **{name: getattr(self, name).state_dict() for name in self.MODULES},
            "scores": [history.as_dict() for history in self.scores.values()],
            **{name: getattr(self, name) for name in self.PLAIN},
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """
        Raises:
            AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError: `saved` is not of these networks.
        """
        self.generator.load_state_dict(saved["generator"])
        self.discriminator.load_state_dict(saved["discriminator"])
        _load_optimizer(self.generator_optimizer, saved["generator_optimizer"])
        _load_optimizer(self.discriminator_optimizer, saved["discriminator_optimizer"])
        self.iteration = saved["iteration"]
        histories = [ScoreHistory.from_dict(entry) for entry in saved["scores"]]
        self.scores = {history.protocol.fingerprint: history for history in histories}
        plain = {name: saved.get(name, getattr(self, name)) for name in self.PLAIN}
        kinds = ((int, float), (int, float), list, (dict, type(None)), (dict, type(None)))
        if not all(isinstance(value, kind) for value, kind in zip(plain.values(), kinds, strict=True)):
            raise TypeError(f"one of {', '.join(self.PLAIN)} is of another kind")
        json.dumps(plain)  # a TypeError here, rather than when result.json is written
        self.__dict__ |= plain


def _load_optimizer(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """As saved on another device or under another acceleration too: how Adam computes stays the optimizer's own."""
    own = [{key: group[key] for key in ("fused", "foreach", "capturable")} for group in optimizer.param_groups]
    groups = [{**theirs, **ours} for theirs, ours in zip(saved["param_groups"], own, strict=True)]
    optimizer.load_state_dict({**saved, "param_groups": groups})
    for parameter, moments in optimizer.state.items():
        for name in ("exp_avg", "exp_avg_sq"):
            if moments[name].shape != parameter.shape:  # Adam takes any shape, and fails at its next step
                raise ValueError("an optimizer's moments have other shapes than its parameters")
            moments[name] = torch.empty_like(parameter).copy_(moments[name])  # in the parameter's layout
