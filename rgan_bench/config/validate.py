"""Validation of a composed configuration, and where the YAML lives. Imports no torch.

The YAML files hold the values, `schema.py` holds names, types and ranges. `validate` is the gate: what passes
it can be run, what does not is refused with key, value and remedy.
"""

import difflib
import math
import re
from collections.abc import Iterable
from dataclasses import field, fields, is_dataclass, make_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException, ValidationError

from rgan_bench import register
from rgan_bench.config.schema import (
    CHECKS,
    ArchConfig,
    Config,
    FidConfig,
    LimitsConfig,
    LossConfig,
    OptimConfig,
    TrainConfig,
    not_among,
)
from rgan_bench.errors import UserError, one_line

LISTS = ("fid.features", "plugins")


def config_dir() -> Path:
    """The folder of the YAML files: inside the installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parent.parent
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


def root_defaults() -> dict[str, Any]:
    """What `configs/config.yaml` says of the keys that no group holds: train, fid, limits, seed, …"""
    loaded = OmegaConf.load(config_dir() / "config.yaml")
    return {
        each.name: OmegaConf.to_container(loaded[each.name])
        if OmegaConf.is_config(loaded[each.name])
        else loaded[each.name]
        for each in fields(Config)
        if each.name in loaded
    }


# --- the gate ---------------------------------------------------------------------------------------------------------


def validate(config: DictConfig) -> Config:
    """Checks names, types and ranges of a composed config, and returns it typed.

    Raises:
        UserError: one line with key, value and remedy.
    """
    config = OmegaConf.create(OmegaConf.to_container(_resolved(config), resolve=False))  # ours to change
    for key in LISTS:
        if isinstance(OmegaConf.select(config, key), str):
            OmegaConf.update(config, key, [OmegaConf.select(config, key)])  # fid.features=pixels is what people type
    plugins = config.get("plugins") or []
    if OmegaConf.is_list(plugins) and all(isinstance(name, str) for name in plugins):  # else the schema complains
        register.load_plugins(plugins)
    schema = OmegaConf.structured(Config)
    for group, kind in (("arch", "network"), ("data", "dataset")):
        name = OmegaConf.select(config, f"{group}.name")
        if name not in register.names(kind):
            raise UserError(f"{group}.name={name}: {not_among(name, register.names(kind))}")
        schema[group] = OmegaConf.structured(ArchConfig if group == "arch" else data_schema(name))
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
    _check_network(validated.arch)
    if validated.loss.name == "spectral_sgan" and not validated.arch.spectral_norm:
        raise UserError(
            "loss.name=spectral_sgan: means a discriminator with spectral norm; set arch.spectral_norm=true"
        )
    if validated.accelerate == "compile" and validated.loss.penalty != "none":
        raise UserError(
            f"accelerate=compile: loss.penalty={validated.loss.penalty} differentiates twice, which torch.compile "
            "cannot do; use accelerate=auto"
        )
    return validated


def data_schema(name: str) -> type:
    """The dataclass of a data set's keys: those of its YAML, or that its plugin's decorator was told, of the types that
    the values there have."""
    return _dataclass_of(f"{name}_config", tuple(_data_defaults(name).items()))


def data_config(name: str, **values: Any) -> Any:
    """A data config from Python; what is not given is as in its YAML."""
    return data_schema(name)(**{**_data_defaults(name), **values})


def _data_defaults(name: str) -> dict[str, Any]:
    if register.plugin_of("dataset", name) is None:
        return load_group_option("data", name)
    return group_node("data", name)


def group_node(group: str, name: str) -> dict[str, Any]:
    """What `arch=NAME` or `data=NAME` means for one that a plugin brings."""
    told = register.attributes({"arch": "network", "data": "dataset"}[group], name)
    if group == "arch":
        told = {key: value for key, value in told.items() if key not in ("choices", "multiple_of")}
        return {**load_group_option("arch", "cnn32"), "name": name, **told}
    return {**told, "name": name, "image_size": told.get("image_size") or 32}


@cache
def _dataclass_of(name: str, defaults: tuple[tuple[str, Any], ...]) -> type:
    types = [(key, str if value == MISSING else type(value), field(default=MISSING)) for key, value in defaults]
    return make_dataclass(name, types)


def leaves(config: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    """(dotted key, value) of every scalar and list in nested dataclasses."""
    for each in fields(config):
        value = getattr(config, each.name)
        if is_dataclass(value):
            yield from leaves(value, f"{prefix}{each.name}.")
        else:
            yield f"{prefix}{each.name}", value


def known_keys() -> list[str]:
    """Every dotted key that some config has, and the names of the groups."""
    keys = {"loss", "arch", "data", "optim", "experiment"}
    groups = {"loss": [LossConfig], "optim": [OptimConfig], "train": [TrainConfig], "fid": [FidConfig]}
    groups["limits"] = [LimitsConfig]
    groups |= {"arch": [ArchConfig], "data": [data_schema(name) for name in register.names("dataset")]}
    for group, schemas in groups.items():
        keys |= {f"{group}.{each.name}" for schema in schemas for each in fields(schema)}
    keys |= {each.name for each in fields(Config) if each.name not in groups}
    return sorted(keys)


def _check_sizes(config: Config) -> None:
    for group, kind, part in (("arch", "network", config.arch), ("data", "dataset", config.data)):
        fixed = register.attributes(kind, part.name).get("image_size")
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


def _check_network(arch: ArchConfig) -> None:
    """What its decorator says that this network cannot be."""
    told = register.attributes("network", arch.name)
    values = dict(leaves(arch))
    choices, multiple_of = (told.get(limit) or {} for limit in ("choices", "multiple_of"))
    for key in [*choices, *multiple_of]:
        if key not in values:
            raise UserError(f"arch.name={arch.name}: its decorator limits {key}, and there is no key arch.{key}")
    for key, possible in choices.items():
        if values[key] not in possible:
            only = " or ".join(map(_shown, possible))
            raise UserError(
                f"arch.{key}={_shown(values[key])}: arch={arch.name} can only have {only}; "
                f"set arch.{key}={_shown(possible[0])} or choose another arch"
            )
    for key, factor in multiple_of.items():
        if values[key] % factor:
            above = values[key] + -values[key] % factor
            raise UserError(
                f"arch.{key}={values[key]}: arch={arch.name} needs a multiple of {factor}; "
                f"set arch.{key}={above} or choose another arch"
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
    return f"{group}={option}: there is no such option; {not_among(option, options)}"


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
    first = message.splitlines()[0]
    for name, words in (("Integer|int", "an integer"), ("Float|float", "a number"), ("Boolean|bool", "true or false")):
        if re.search(rf"to ({name})\b|of type '({name})'$|a valid ({name})\b", first):
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
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


def _hint_for_missing(key: str) -> str:
    return " (a folder or a .zip of images)" if key == "data.root" else ""
