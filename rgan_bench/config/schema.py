"""The schema of the configuration: names and types of every key. The values stand in the YAML files, the ranges in
`ranges.py`."""

from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING

PRECISIONS = ("float32", "tf32", "bfloat16")
GENERATOR_FORMS = ("non_saturating", "saturating")
ESTIMATORS = ("plain", "mvue", "unbiased")
# Of a gradient penalty: part → what it can be. gan/penalties.py says what each is.
PENALTY_PARTS = {
    "points": ("mixed", "real", "fake", "near"),
    "norm": ("l1", "l2", "linf"),
    "shape": ("centered", "one_sided", "hinge", "square", "half_square"),
    "reduce": ("mean", "max"),
}
# fid.metrics → what it computes from features, each with a history of its own.
FAMILIES = {
    "frechet": ("frechet",),
    "kid": ("kernel",),
    "precision_recall": ("precision", "recall"),
    "density_coverage": ("density", "coverage"),
    "inception_score": ("inception_score",),
    "mind": ("mind",),
}


@dataclass
class LossConfig:
    name: str = MISSING
    comparison: str = MISSING
    function: str = MISSING
    generator: str = MISSING
    penalty: Any = MISSING  # a name, or a list of several
    penalty_weight: Any = MISSING  # a number or null, or a list of several
    # Younger than the rest: checkpoints of before have none of them.
    estimator: str = "plain"
    penalty_points: list[str] | None = None
    penalty_norm: str | None = None
    penalty_shape: str | None = None
    penalty_reduce: str | None = None


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
    metrics: list[str] = MISSING
    sampling_seeds: int = MISSING


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
    logger: list[str] = MISSING
    deterministic: bool = MISSING
    precision: str = MISSING
    accelerate: str = MISSING
    seed: int = MISSING
    device: str = MISSING
    devices: int = MISSING
    cells_per_gpu: int | None = MISSING
    output_root: str = MISSING

    @property
    def has_average(self) -> bool:
        """Whether there is a second generator, the first one's moving average."""
        return self.ema.half_life > 0 or self.schedule.half_life.to is not None
