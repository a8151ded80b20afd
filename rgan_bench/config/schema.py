"""The schema of the configuration: names, types and ranges of every key. The values stand in the YAML files."""

import difflib
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING

from rgan_bench import register

GENERATOR_FORMS = ("non_saturating", "saturating")
ESTIMATORS = ("plain", "mvue", "unbiased")


@dataclass
class LossConfig:
    name: str = MISSING
    comparison: str = MISSING
    function: str = MISSING
    generator: str = MISSING
    penalty: str = MISSING
    penalty_weight: float | None = MISSING
    estimator: str = "plain"  # younger than the rest: checkpoints of before have none


@dataclass
class ArchConfig:
    name: str = MISSING
    image_size: int = MISSING
    latent_dim: int = MISSING
    width: int = MISSING
    pac: int = MISSING
    spectral_norm: bool = MISSING
    batch_norm: str = MISSING
    activation: str = MISSING


@dataclass
class OptimConfig:
    lr: float = MISSING
    betas: list[float] = MISSING
    n_d: int = MISSING
    lr_generator: float | None = None
    lr_discriminator: float | None = None


@dataclass
class TrainConfig:
    iterations: int = MISSING
    batch_size: int = MISSING
    log_every: int = MISSING
    sample_every: int | None = MISSING
    checkpoint_every: int | None = MISSING
    keep: int | None = MISSING
    on_divergence: str = MISSING


@dataclass
class EmaConfig:
    half_life: float = MISSING


@dataclass
class RampConfig:
    """From the value that the key has elsewhere, until iteration `start`, to `to`, from iteration `end` on."""

    to: float | None = MISSING
    start: int = MISSING
    end: int | None = MISSING
    shape: str = MISSING


@dataclass
class ScheduleConfig:
    lr: RampConfig = MISSING
    beta1: RampConfig = MISSING
    beta2: RampConfig = MISSING
    penalty_weight: RampConfig = MISSING
    half_life: RampConfig = MISSING


@dataclass
class LimitsConfig:
    image_pixels: int = MISSING
    file_bytes: int = MISSING
    dataset_bytes: int = MISSING


@dataclass
class FidConfig:
    features: list[str] = MISSING
    every: int | None = MISSING
    num_samples: int = MISSING
    num_real: int | None = MISSING
    batch_norm: str = MISSING
    batch_size: int = MISSING
    weights: str | None = MISSING
    cache_dir: str | None = MISSING


@dataclass
class Config:
    """A validated configuration. `arch` is an ArchConfig, `data` has the keys of its source (`data_schema`)."""

    loss: LossConfig = MISSING
    arch: Any = MISSING
    data: Any = MISSING
    optim: OptimConfig = MISSING
    train: TrainConfig = MISSING
    ema: EmaConfig = MISSING
    schedule: ScheduleConfig = MISSING
    fid: FidConfig = MISSING
    limits: LimitsConfig = MISSING
    plugins: list[str] = MISSING
    deterministic: bool = MISSING
    accelerate: str = MISSING
    seed: int = MISSING
    device: str = MISSING
    output_root: str = MISSING

    @property
    def has_average(self) -> bool:
        """Whether there is a second generator, the first one's moving average."""
        return self.ema.half_life > 0 or self.schedule.half_life.to is not None


# --- ranges -----------------------------------------------------------------------------------------------------------

Check = Callable[[Any], str | None]  # value → what is wrong with it, or None


def at_least(minimum: int) -> Check:
    return lambda value: None if value >= minimum else f"must be at least {minimum}"


def at_least_or_null(minimum: int) -> Check:
    return lambda value: None if value is None or value >= minimum else f"must be at least {minimum}, or null for never"


def one_of(*choices: str) -> Check:
    return lambda value: None if value in choices else not_among(value, choices)


def registered(kind: str) -> Check:
    """One of the names that there are, plugins' among them."""
    return lambda value: None if value in register.names(kind) else not_among(value, register.names(kind))


def positive(value: float) -> str | None:
    return None if math.isfinite(value) and value > 0 else "must be a number above 0"


def not_negative(value: float) -> str | None:
    return None if math.isfinite(value) and value >= 0 else "must be a number of at least 0"


def two_betas(value: list[float]) -> str | None:
    if len(value) != 2:
        return "must be two numbers, as in [0.5,0.999]"
    return None if all(0 <= beta < 1 for beta in value) else "each must be at least 0 and below 1"


def some_features(value: list[str]) -> str | None:
    if not value:
        return "must name at least one; to score never, set fid.every=null"
    if len(set(value)) != len(value):
        return "names one twice"
    complaints = map(registered("extractor"), value)
    return next((complaint for complaint in complaints if complaint), None)


def file_name(value: str) -> str | None:
    ok = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", value)
    return None if ok else "becomes part of a folder's name: use letters, digits, '.', '_' and '-' only"


def device_name(value: str) -> str | None:
    return None if re.fullmatch(r"auto|cpu|cuda(:\d+)?", value) else "must be auto, cpu, cuda or cuda:N"


def not_empty(value: str) -> str | None:
    return None if value.strip() else "must not be empty"


def or_null(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def a_beta(value: float) -> str | None:
    return None if 0 <= value < 1 else "must be at least 0 and below 1"


# What a schedule may lead to: name → check of its value.
SCHEDULED = {
    "lr": or_null(positive),
    "beta1": or_null(a_beta),
    "beta2": or_null(a_beta),
    "penalty_weight": or_null(not_negative),
    "half_life": or_null(not_negative),
}
CHECKS: dict[str, Check] = {
    "loss.name": file_name,
    "loss.comparison": registered("comparison"),
    "loss.function": registered("function"),
    "loss.generator": one_of(*GENERATOR_FORMS),
    "loss.penalty": registered("penalty"),
    "loss.penalty_weight": lambda value: None if value is None else not_negative(value),
    "loss.estimator": one_of(*ESTIMATORS),
    "arch.width": at_least(1),
    "arch.latent_dim": at_least(1),
    "arch.pac": at_least(1),
    "arch.batch_norm": one_of("generator", "both", "none"),
    "arch.activation": one_of("default", "tanh"),
    "data.root": not_empty,
    "data.image_size": at_least(8),
    "data.on_corrupt": one_of("error", "skip"),
    "data.num_images": at_least(2),
    "data.data_seed": at_least(0),
    "optim.lr": positive,
    "optim.lr_generator": or_null(positive),
    "optim.lr_discriminator": or_null(positive),
    "optim.betas": two_betas,
    "optim.n_d": at_least(1),
    "train.iterations": at_least(1),
    "train.batch_size": at_least(1),
    "train.log_every": at_least(1),
    "train.sample_every": at_least_or_null(1),
    "train.checkpoint_every": at_least_or_null(1),
    "train.keep": lambda value: None if value is None or value >= 0 else "must be at least 0, or null for all",
    "train.on_divergence": one_of("stop", "continue"),
    "ema.half_life": not_negative,
    **{f"schedule.{name}.to": check for name, check in SCHEDULED.items()},
    **{f"schedule.{name}.start": at_least(0) for name in SCHEDULED},
    **{f"schedule.{name}.shape": one_of("cosine", "linear") for name in SCHEDULED},
    "limits.image_pixels": at_least(1),
    "limits.file_bytes": at_least(1),
    "limits.dataset_bytes": at_least(1),
    "fid.features": some_features,
    "fid.every": at_least_or_null(1),
    "fid.num_samples": at_least(2),
    "fid.num_real": lambda value: None if value is None or value >= 2 else "must be at least 2, or null for all",
    "fid.batch_norm": one_of("batch", "running"),
    "fid.batch_size": at_least(1),
    "seed": at_least(0),
    "device": device_name,
    "accelerate": one_of("auto", "none", "graphs", "compile"),
    "output_root": not_empty,
}


def not_among(value: object, choices: Iterable[str]) -> str:
    choices = list(choices)
    near = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.5)
    return (f"did you mean {near[0]}? " if near else "") + f"one of: {', '.join(choices)}"
