"""`TrainState`: everything of a run that must survive a crash."""

import copy
import inspect
import json
import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from rgan_bench import ranks
from rgan_bench.config.schema import Config
from rgan_bench.errors import one_line
from rgan_bench.gan.losses import loss_of
from rgan_bench.gan.networks import build_networks
from rgan_bench.gan.networks.fewer import use_fewer_kernels
from rgan_bench.gan.penalties import memory_of
from rgan_bench.scoring.protocol import ScoreHistory
from rgan_bench.training.adam import MovingBetas

# How Adam computes: the machine's choice. The rest of a group says what it computes, and is the run's.
COMPUTING = {"fused", "foreach", "capturable", "differentiable"}
ADAMS_OPTIONS = inspect.signature(torch.optim.Adam).parameters.values()
ADAMS_DEFAULTS = {option.name: option.default for option in ADAMS_OPTIONS if option.default is not option.empty}
MOMENTS = ("exp_avg", "exp_avg_sq")

# What `TrainState` says to result.json, and so to `rgan-table`.
NUMBER = (int, float)
ENTRIES: dict[str, dict[str, Any]] = {
    "failed_scores": {"iteration": int, "reason": str},
    "score_seconds": {"iteration": int, "training_seconds": NUMBER},
    "diverged": {"iteration": int, "not_finite": list},
    "diversity": {"iteration": int, "pixel_sd": NUMBER},
}


@dataclass
class TrainState:
    """Networks, optimizers and counters. Random streams are keyed by `iteration`, so none is stored.

    Attributes:
        iteration: generator steps done.
        ema: the generator's exponential moving average; None: there is none.
        memory: name of a penalty → what it keeps from step to step.
        scores: protocol fingerprint → history. Scores under different protocols never share one.
        training_seconds: spent in iterations, over all sessions.
        wall_seconds: spent altogether, over all sessions.
        failed_scores: {iteration, reason} of each score that could not be had.
        score_seconds: {iteration, training_seconds} at which a score was taken.
        diverged: {iteration, not_finite} where a number was first seen not to be finite.
        diversity: {iteration, pixel_sd} of the newest sample grid.
    """

    generator: nn.Module
    discriminator: nn.Module
    generator_optimizer: torch.optim.Optimizer
    discriminator_optimizer: torch.optim.Optimizer
    memory_format: torch.memory_format = torch.channels_last
    ema: nn.Module | None = None
    memory: dict[str, Tensor] = field(default_factory=dict)
    iteration: int = 0
    scores: dict[str, ScoreHistory] = field(default_factory=dict)
    training_seconds: float = 0.0
    wall_seconds: float = 0.0
    failed_scores: list[dict[str, Any]] = field(default_factory=list)
    score_seconds: list[dict[str, Any]] = field(default_factory=list)
    diverged: dict[str, Any] | None = None
    diversity: dict[str, Any] | None = None

    MODULES = ("generator", "discriminator", "generator_optimizer", "discriminator_optimizer")
    PLAIN = ("training_seconds", "wall_seconds", "failed_scores", "score_seconds", "diverged", "diversity")

    @classmethod
    def new(
        cls, config: Config, device: torch.device, *, plain: bool = False, fewer_kernels: bool = False
    ) -> "TrainState":
        """Iteration 0, initialised from the seed.

        Args:
            plain: contiguous tensors, and Adam one tensor at a time.
            fewer_kernels: as gan/networks/fewer.py has it.
        """
        # Channels last: the layout in which convolutions run fastest, on CPUs and on tensor cores.
        memory_format = torch.contiguous_format if plain else torch.channels_last
        generator, discriminator = (
            network.train().to(memory_format=memory_format).to(device)
            for network in build_networks(config.arch, config.seed)
        )

        for network in (generator, discriminator):
            ranks.normalise_over_all(network)
        if fewer_kernels:
            use_fewer_kernels(generator, discriminator)

        beta1, beta2 = config.optim.betas
        captured = not plain and device.type == "cuda"
        betas_move = config.schedule.beta1.to is not None or config.schedule.beta2.to is not None
        optimizer = MovingBetas if captured and betas_move else torch.optim.Adam

        def adam(network: nn.Module, own_lr: float | None) -> torch.optim.Adam:
            return optimizer(
                network.parameters(),
                lr=config.optim.lr if own_lr is None else own_lr,
                betas=(beta1, beta2),
                fused=not plain,
                foreach=False,
                capturable=captured,  # its step counter lies on the device
            )

        ema = copy.deepcopy(generator).requires_grad_(False) if config.has_average else None
        adams = adam(generator, config.optim.lr_generator), adam(discriminator, config.optim.lr_discriminator)
        memory = memory_of(loss_of(config.loss).penalty, device)
        return cls(generator, discriminator, *adams, memory_format, ema, memory)

    def generators(self) -> dict[str, nn.Module]:
        """Those that are sampled and scored: `raw`, and `ema` where there is one."""
        return {"raw": self.generator} | ({} if self.ema is None else {"ema": self.ema})

    def tensors(self) -> list[Tensor]:
        """Everything that an iteration changes."""
        found = list(self.memory.values())
        for network in (*self.generators().values(), self.discriminator):
            found += [*network.parameters(), *network.buffers()]
        for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
            found += [moment for moments in optimizer.state.values() for moment in moments.values()]
        return found

    def progress(self) -> tuple[int, int, int]:
        """Iterations, scores and failed scores so far: equal at two moments of one run, the states are equal."""
        scores = sum(len(h.entries) + sum(map(len, h.draws.values())) for h in self.scores.values())
        return self.iteration, scores, len(self.failed_scores)

    def state_dict(self) -> dict[str, Any]:
        """Tensors and primitives only."""
        return {
            "iteration": self.iteration,
            **{name: getattr(self, name).state_dict() for name in self.MODULES[:2]},
            **{name: settled(getattr(self, name)) for name in self.MODULES[2:]},
            **({} if self.ema is None else {"generator_ema": self.ema.state_dict()}),
            **({"memory": self.memory} if self.memory else {}),
            "scores": [history.as_dict() for history in self.scores.values()],
            **{name: getattr(self, name) for name in self.PLAIN},
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """
        Raises:
            RuntimeError, ValueError: `saved` is not of these networks, was trained with other hyperparameters, or is
                not what `state_dict` makes. This state is then of no use.
        """
        try:
            self._load(saved)
        except (RuntimeError, ValueError):
            raise
        except Exception as error:  # it comes from a file, and can be anything
            raise ValueError(f"{type(error).__name__}: {error}") from error

    def _load(self, saved: dict[str, Any]) -> None:
        self.iteration = saved["iteration"]
        for name in self.MODULES[:2]:
            getattr(self, name).load_state_dict(saved[name])
        if self.ema is not None:
            self.ema.load_state_dict(saved["generator_ema"])
        for name, kept in self.memory.items():
            kept.copy_(_moment(saved["memory"][name], kept, f"memory of the penalty {name}"))
        for name in self.MODULES[2:]:
            _load_optimizer(getattr(self, name), saved[name], name, stepped=self.iteration > 0)
        histories = [ScoreHistory.from_dict(entry) for entry in saved["scores"]]
        self.scores = {history.protocol.fingerprint: history for history in histories}
        plain = {name: saved.get(name, getattr(self, name)) for name in self.PLAIN}
        for name, value in plain.items():
            if not _is_of_its_kind(name, value):
                raise ValueError(f"its {name} is of another kind: {_short(value)}")
        # Now, rather than when result.json is written, after all the training.
        json.dumps([[h.protocol.score_name, h.protocol.as_dict(), h.summary()] for h in histories], allow_nan=False)
        json.dumps(plain, allow_nan=False)
        self.__dict__ |= plain


def settled(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Its state; of hyperparameters that a schedule moves the value that it begins with, since where they stand follows
    from the iteration."""
    content: dict[str, Any] = optimizer.state_dict()
    first = {key: optimizer.defaults[key] for key in ("lr", "betas")}
    return {**content, "param_groups": [group | first for group in content["param_groups"]]}


def _is_of_its_kind(name: str, value: Any) -> bool:
    if name not in ENTRIES:
        return isinstance(value, NUMBER) and math.isfinite(value)
    if name in ("failed_scores", "score_seconds"):
        return isinstance(value, list) and all(_has(entry, ENTRIES[name]) for entry in value)
    return value is None or _has(value, ENTRIES[name])


def _has(entry: Any, kinds: dict[str, Any]) -> bool:
    return (
        isinstance(entry, dict)
        and all(isinstance(entry.get(key), kind) for key, kind in kinds.items())
        and all(math.isfinite(value) for value in entry.values() if isinstance(value, NUMBER))
        and all(isinstance(name, str) for name in entry.get("not_finite", []))
    )


def _load_optimizer(optimizer: torch.optim.Optimizer, saved: dict[str, Any], name: str, *, stepped: bool) -> None:
    """Moments and step counters, as saved on another device or under another acceleration too. Adam's own loading would
    take the file's hyperparameters, silently, and moments of any shape, to fail at its next step.

    Args:
        name: what an error message calls it.
        stepped: whether there must be moments.

    Raises:
        ValueError: saved of other parameters, under other hyperparameters, or of another kind of optimizer.
    """
    for own, other in zip(settled(optimizer)["param_groups"], saved["param_groups"], strict=True):
        for key in sorted({*own, *other} - COMPUTING, key=str):
            # A key that only one of two versions of torch knows must be as if it were not there.
            ours, theirs = (_comparable(group.get(key, ADAMS_DEFAULTS.get(key))) for group in (own, other))
            if isinstance(theirs, Tensor) or theirs != ours:
                raise ValueError(f"its {name} has {key}={_short(theirs)}, this run's {_short(ours)}")
    parameters = [(parameter, group) for group in optimizer.param_groups for parameter in group["params"]]
    states = saved["state"]
    if set(states) != set(range(len(parameters)) if stepped else ()):
        raise ValueError(f"its {name} has moments of other parameters")
    optimizer.state.clear()
    for index in states:
        parameter, group = parameters[index]
        if set(states[index]) != {"step", *MOMENTS}:
            raise ValueError(f"its {name} holds {_short(sorted(states[index], key=str))}, and not Adam's moments")
        # On the device only where Adam computes there, as Adam itself has it.
        device = parameter.device if group["capturable"] or group["fused"] else "cpu"
        step = torch.tensor(_count(states[index]["step"], name), dtype=torch.float32, device=device)
        moments = {key: _moment(states[index][key], parameter, f"{name}'s {key}") for key in MOMENTS}
        optimizer.state[parameter] = {"step": step, **moments}


def _comparable(value: Any) -> Any:
    """Lists as tuples, and an option that is not there as one that is off."""
    return tuple(value) if isinstance(value, list) else False if value is None else value


def _count(step: Any, name: str) -> float:
    if isinstance(step, Tensor) and step.shape == ():
        step = step.item()
    if type(step) not in NUMBER or not float(step).is_integer() or step < 0:
        raise ValueError(f"its {name} counts its steps as {_short(step)}")
    return float(step)


def _moment(moment: Any, parameter: Tensor, name: str) -> Tensor:
    """A copy, in the parameter's layout."""
    if not isinstance(moment, Tensor) or (moment.shape, moment.dtype) != (parameter.shape, parameter.dtype):
        raise ValueError(f"its {name} is not of the shape and kind of its parameter")
    return torch.empty_like(parameter, requires_grad=False).copy_(moment.detach())


def _short(value: Any) -> str:
    return one_line(repr(value))[:80]
