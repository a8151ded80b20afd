"""The schema of the configuration, its validation, and where the YAML lives. Imports no torch.

The YAML files hold the values; the dataclasses here hold names, types and ranges. `validate` is the gate: what passes
it can be run, what does not is refused with key, value and remedy.
"""

import difflib
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException, ValidationError

from rgan_bench.errors import UserError, one_line

FEATURES = ("inception", "efficientnet-lite0", "pixels")


def config_dir() -> Path:
    """The folder of the YAML files: inside the installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def group_options(group: str) -> list[str]:
    return sorted(path.stem for path in (config_dir() / group).glob("*.yaml"))


def load_group_option(group: str, option: str) -> dict[str, Any]:
    """The content of `configs/<group>/<option>.yaml`.

    Raises:
        UserError: there is no such option.
    """
    if option not in group_options(group):
        raise UserError(unknown_option(group, option, group_options(group)))
    loaded = OmegaConf.to_container(OmegaConf.load(config_dir() / group / f"{option}.yaml"))
    assert isinstance(loaded, dict)
    return loaded


# --- the schema -------------------------------------------------------------------------------------------------------


@dataclass
class LossConfig:
    name: str = MISSING
    comparison: str = MISSING
    function: str = MISSING
    generator: str = MISSING
    penalty: str = MISSING
    penalty_weight: float = MISSING


@dataclass
class Cnn32Config:
    name: str = MISSING
    image_size: int = MISSING
    latent_dim: int = MISSING
    width: int = MISSING
    spectral_norm: bool = MISSING
    batch_norm: str = MISSING
    activation: str = MISSING


@dataclass
class Cifar10Config:
    name: str = MISSING
    root: str = MISSING
    image_size: int = MISSING


@dataclass
class FolderConfig:
    name: str = MISSING
    root: str = MISSING
    image_size: int = MISSING
    on_corrupt: str = MISSING


@dataclass
class DemoConfig:
    name: str = MISSING
    image_size: int = MISSING
    num_images: int = MISSING
    data_seed: int = MISSING


@dataclass
class OptimConfig:
    lr: float = MISSING
    betas: list[float] = MISSING
    n_d: int = MISSING


@dataclass
class TrainConfig:
    iterations: int = MISSING
    batch_size: int = MISSING
    log_every: int = MISSING
    sample_every: int | None = MISSING
    checkpoint_every: int | None = MISSING


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
    """A validated configuration. `arch` and `data` are instances of the classes in ARCHS and DATA."""

    loss: LossConfig = MISSING
    arch: Any = MISSING
    data: Any = MISSING
    optim: OptimConfig = MISSING
    train: TrainConfig = MISSING
    fid: FidConfig = MISSING
    seed: int = MISSING
    device: str = MISSING
    output_root: str = MISSING


# Replaceable parts: `name` says which schema its group follows.
ARCHS: dict[str, type] = {"cnn32": Cnn32Config}
DATA: dict[str, type] = {"cifar10": Cifar10Config, "folder": FolderConfig, "demo": DemoConfig}
FIXED_IMAGE_SIZE = {"arch": {"cnn32": 32}, "data": {"cifar10": 32}}


# --- ranges -----------------------------------------------------------------------------------------------------------

Check = Callable[[Any], str | None]  # value → what is wrong with it, or None


def at_least(minimum: int) -> Check:
    return lambda value: None if value >= minimum else f"must be at least {minimum}"


def at_least_or_null(minimum: int) -> Check:
    return lambda value: None if value is None or value >= minimum else f"must be at least {minimum}, or null for never"


def one_of(*choices: str) -> Check:
    return lambda value: None if value in choices else _not_among(value, choices)


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
    return next((_not_among(name, FEATURES) for name in value if name not in FEATURES), None)


def file_name(value: str) -> str | None:
    ok = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", value)
    return None if ok else "becomes part of a folder's name: use letters, digits, '.', '_' and '-' only"


def device_name(value: str) -> str | None:
    return None if re.fullmatch(r"auto|cpu|cuda(:\d+)?", value) else "must be auto, cpu, cuda or cuda:N"


def not_empty(value: str) -> str | None:
    return None if value.strip() else "must not be empty"


CHECKS: dict[str, Check] = {
    "loss.name": file_name,
    "loss.comparison": one_of("none", "pair", "average", "average_v1", "centered"),
    "loss.function": one_of("standard", "least_squares", "hinge", "wasserstein"),
    "loss.generator": one_of("non_saturating", "saturating"),
    "loss.penalty": one_of("none", "gp"),
    "loss.penalty_weight": not_negative,
    "arch.width": at_least(1),
    "arch.latent_dim": at_least(1),
    "arch.batch_norm": one_of("generator", "both", "none"),
    "arch.activation": one_of("default", "tanh"),
    "data.root": not_empty,
    "data.image_size": at_least(8),
    "data.on_corrupt": one_of("error", "skip"),
    "data.num_images": at_least(2),
    "data.data_seed": at_least(0),
    "optim.lr": positive,
    "optim.betas": two_betas,
    "optim.n_d": at_least(1),
    "train.iterations": at_least(1),
    "train.batch_size": at_least(1),
    "train.log_every": at_least(1),
    "train.sample_every": at_least_or_null(1),
    "train.checkpoint_every": at_least_or_null(1),
    "fid.features": some_features,
    "fid.every": at_least_or_null(1),
    "fid.num_samples": at_least(2),
    "fid.num_real": lambda value: None if value is None or value >= 2 else "must be at least 2, or null for all",
    "fid.batch_norm": one_of("batch", "running"),
    "fid.batch_size": at_least(1),
    "seed": at_least(0),
    "device": device_name,
    "output_root": not_empty,
}


# --- the gate ---------------------------------------------------------------------------------------------------------


def validate(config: DictConfig) -> Config:
    """Checks names, types and ranges of a composed config, and returns it typed.

    Raises:
        UserError: one line with key, value and remedy.
    """
    config = OmegaConf.create(OmegaConf.to_container(_resolved(config), resolve=False))  # ours to change
    if isinstance(config.get("fid"), DictConfig) and isinstance(config.fid.get("features"), str):
        config.fid.features = [config.fid.features]  # fid.features=pixels is what people type
    schema = OmegaConf.structured(Config)
    for group, schemas in (("arch", ARCHS), ("data", DATA)):
        name = OmegaConf.select(config, f"{group}.name")
        if name not in schemas:
            raise UserError(f"{group}.name={name}: {_not_among(name, schemas)}")
        schema[group] = OmegaConf.structured(schemas[name])
    try:
        # Once more onto the schema: `+train.stpes=3` and typos in a user's own YAML pass Hydra's composition.
        merged = OmegaConf.merge(schema, config)
        missing = sorted(OmegaConf.missing_keys(merged))
        if missing:
            raise UserError(f"{missing[0]}: has no value; set {missing[0]}=…{_hint_for_missing(missing[0])}")
        validated = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise UserError(explain(error, config)) from error
    assert isinstance(validated, Config)
    for key, value in leaves(validated):
        complaint = CHECKS[key](value) if key in CHECKS else None
        if complaint:
            raise UserError(f"{key}={_shown(value)}: {complaint}")
    _check_sizes(validated)
    return validated


def leaves(config: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    """(dotted key, value) of every scalar and list in nested dataclasses."""
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            yield from leaves(value, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", value


def known_keys() -> list[str]:
    """Every dotted key that some config has, and the names of the groups."""
    keys = {"loss", "arch", "data", "optim", "experiment"}
    groups = {"loss": [LossConfig], "optim": [OptimConfig], "train": [TrainConfig], "fid": [FidConfig]}
    groups |= {"arch": list(ARCHS.values()), "data": list(DATA.values())}
    for group, schemas in groups.items():
        keys |= {f"{group}.{field.name}" for schema in schemas for field in fields(schema)}
    keys |= {field.name for field in fields(Config) if field.name not in groups}
    return sorted(keys)


def _check_sizes(config: Config) -> None:
    for group, part in (("arch", config.arch), ("data", config.data)):
        fixed = FIXED_IMAGE_SIZE[group].get(part.name)
        if fixed is not None and part.image_size != fixed:
            raise UserError(
                f"{group}.image_size={part.image_size}: {group}={part.name} is {fixed}×{fixed} only; "
                f"set {group}.image_size={fixed} or choose another {group}"
            )
    if config.arch.image_size != config.data.image_size:
        raise UserError(
            f"data.image_size={config.data.image_size}: arch={config.arch.name} makes images of "
            f"{config.arch.image_size}×{config.arch.image_size}; set data.image_size={config.arch.image_size} "
            "or choose another arch"
        )


# --- messages ---------------------------------------------------------------------------------------------------------


def unknown_key(key: str, value: object = None) -> str:
    assigned = f"{key}={_shown(value)}" if value is not None else key
    near = difflib.get_close_matches(key, known_keys(), n=1, cutoff=0.6)
    if not near:  # a right last name under a wrong first one, or the other way round
        last = key.rsplit(".", 1)[-1]
        near = [known for known in known_keys() if known.rsplit(".", 1)[-1] == last][:1]
    hint = f"did you mean {near[0]}?" if near else "`rgan-train --cfg job` prints all keys"
    return f"{assigned}: there is no key {key}; {hint}"


def unknown_option(group: str, option: object, options: Iterable[str]) -> str:
    return f"{group}={option}: there is no such option; {_not_among(option, options)}"


def explain(error: OmegaConfBaseException, config: DictConfig) -> str:
    """An OmegaConf error in one line with key, value and remedy."""
    key = error.full_key or ""
    if isinstance(error, ConfigKeyError):
        return unknown_key(key, _select(config, key))
    if isinstance(error, MissingMandatoryValue):
        return f"{key}: has no value; set {key}=…{_hint_for_missing(key)}"
    if isinstance(error, ValidationError) and key:
        value = _select(config, key)
        wanted = _wanted_type(str(error.msg))
        hint = f"; write {int(value)}" if wanted == "an integer" and _is_whole(value) else ""
        return f"{key}={_shown(value)}: must be {wanted}{hint}"
    return one_line(error)


def _resolved(config: DictConfig) -> DictConfig:
    try:
        return OmegaConf.create(OmegaConf.to_container(config, resolve=True, throw_on_missing=False))
    except OmegaConfBaseException as error:
        raise UserError(one_line(error)) from error


def _select(config: DictConfig, key: str) -> Any:
    try:
        return OmegaConf.select(config, key)
    except OmegaConfBaseException:
        return None


def _wanted_type(message: str) -> str:
    for name, words in (("Integer|int", "an integer"), ("Float|float", "a number"), ("Boolean|bool", "true or false")):
        if re.search(rf"to ({name})|of type '({name})'$", message.splitlines()[0]):
            return words
    if "list" in message.lower():
        return "a list, as in [a,b]"
    if "String" in message or "str" in message:
        return "a text"
    return f"of another type ({one_line(message)})"


def _is_whole(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value) and value == int(value)


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)) or OmegaConf.is_list(value):
        return "[" + ",".join(str(item) for item in value) + "]"
    return "null" if value is None else str(value)


def _not_among(value: object, choices: Iterable[str]) -> str:
    choices = list(choices)
    near = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.5)
    return (f"did you mean {near[0]}? " if near else "") + f"one of: {', '.join(choices)}"


def _hint_for_missing(key: str) -> str:
    return " (a folder or a .zip of images)" if key == "data.root" else ""
