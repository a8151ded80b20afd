"""What changes from iteration to iteration: learning rates, Adam's betas, a penalty's weight, the average's half-life.

Each is a function of the iteration alone, so that a resumed run goes on where it was. The step reads them from `Dials`.
"""

import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from rgan_bench.config.schema import Config, RampConfig
from rgan_bench.training.state import TrainState

Curve = Callable[[int], float]  # iterations done → a value


def curve(first: float, ramp: RampConfig) -> Curve:
    """`first` until `ramp.start`, `ramp.to` from `ramp.end` on, and in between half a cosine or a straight line."""
    assert ramp.to is not None and ramp.end is not None  # validated
    to, start, length = ramp.to, ramp.start, ramp.end - ramp.start

    def value(iteration: int) -> float:
        done = min(max((iteration - start) / length, 0.0), 1.0)
        if done == 1.0:
            return to
        share = (1 - math.cos(math.pi * done)) / 2 if ramp.shape == "cosine" else done
        return first + (to - first) * share

    return value


def curves_of(config: Config) -> dict[str, Curve]:
    """Name → curve of everything that is scheduled."""
    firsts: dict[str, Any] = {
        "lr": config.optim.lr,
        "beta1": config.optim.betas[0],
        "beta2": config.optim.betas[1],
        "penalty_weight": config.loss.penalty_weight,
        "half_life": config.ema.half_life,
    }
    ramps = {each.name: getattr(config.schedule, each.name) for each in fields(config.schedule)}
    return {name: curve(firsts[name], ramp) for name, ramp in ramps.items() if ramp.to is not None}


class Dials:
    """The scheduled values, where the step reads them. A captured graph would freeze numbers: on a GPU they are
    tensors, whose content each replay reads anew.

    Attributes:
        ema_weight: of the new weights in the average, 1 − β; β = 0.5^(images of a batch / half-life).
        penalty_weight: None: it does not change.
    """

    def __init__(self, config: Config, state: TrainState) -> None:
        self.state, self.curves = state, curves_of(config)
        self.batch = config.train.batch_size * config.arch.pac
        self.device = next(state.generator.parameters()).device
        self.lr = config.optim.lr
        self.ema_weight: float | Tensor = self._weight_of_new(config.ema.half_life)
        self.penalty_weight: float | Tensor | None = None
        if "half_life" in self.curves:
            self.ema_weight = self._dial(self.ema_weight)
        if "penalty_weight" in self.curves:
            self.penalty_weight = self._dial(0.0)
        self.optimizers = (state.generator_optimizer, state.discriminator_optimizer)
        for group in self._groups():
            # Only there does Adam take tensors, and only there is anything captured.
            if "lr" in self.curves and group["capturable"]:
                group["lr"] = self._dial(group["lr"])
            if {"beta1", "beta2"} & set(self.curves) and group["capturable"]:
                group["betas"] = tuple(map(self._dial, group["betas"]))

    def set(self, iteration: int) -> None:
        """To the values of the iteration that is about to be made, the `iteration`-th from 0."""
        if not self.curves:
            return
        now = {name: value(iteration) for name, value in self.curves.items()}
        if "half_life" in now:
            self.ema_weight = turned(self.ema_weight, self._weight_of_new(now["half_life"]))
        if self.penalty_weight is not None:
            self.penalty_weight = turned(self.penalty_weight, now["penalty_weight"])
        for optimizer, group in zip(self.optimizers, self._groups(), strict=True):
            if "lr" in now:  # learning rates of their own keep their ratio
                group["lr"] = turned(group["lr"], optimizer.defaults["lr"] * (now["lr"] / self.lr))
            group["betas"] = tuple(
                turned(dial, now[name]) if name in now else dial
                for name, dial in zip(("beta1", "beta2"), group["betas"], strict=True)
            )

    def _groups(self) -> list[dict[str, Any]]:
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def _dial(self, value: float | Tensor) -> float | Tensor:
        return torch.as_tensor(value, device=self.device).float() if self.device.type == "cuda" else value

    def _weight_of_new(self, half_life: float) -> float:
        return 1 - 0.5 ** (self.batch / half_life) if half_life else 1.0


def turned(dial: float | Tensor, value: float) -> float | Tensor:
    """The dial at a new value: the same tensor, where it is one."""
    return dial.fill_(value) if isinstance(dial, Tensor) else value
