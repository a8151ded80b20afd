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
from rgan_bench.config.combinations import as_list, check_combinations, own_features, own_weights, shown
from rgan_bench.config.ranges import CHECKS, not_among
from rgan_bench.config.schema import (
    ArchConfig,
    Config,
    EmaConfig,
    FidConfig,
    LimitsConfig,
    LossConfig,
    OptimConfig,
    RampConfig,
    ScheduleConfig,
    TrainConfig,
)
from rgan_bench.errors import UserError, one_line
from rgan_bench.plugins import load_plugins

LISTS = ("fid.features", "fid.metrics", "plugins", "loss.penalty_points", "logger")
# Keys that every data set has, and their values in configs from before there were such keys.
YOUNG_DATA_KEYS = {"flip": False}


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
    loaded: Any = OmegaConf.to_container(OmegaConf.load(config_dir() / group / f"{option}.yaml"))
    assert isinstance(loaded, dict)
    loaded.pop("defaults", None)  # other groups' options that it brings along, which Hydra looks after
    return loaded


def root_defaults() -> dict[str, Any]:
    """What `configs/config.yaml` says of the keys that no group holds: train, fid, limits, seed, …"""
    loaded = OmegaConf.load(config_dir() / "config.yaml")
    assert isinstance(loaded, DictConfig)
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
    return checked(typed(config))


def typed(config: DictConfig) -> Config:
    """The first half of `validate`, which raises the same: names and types."""
    config = _copy(_resolved(config), resolve=False)  # ours to change
    for key in LISTS:
        if isinstance(OmegaConf.select(config, key), str):
            OmegaConf.update(config, key, [OmegaConf.select(config, key)])  # fid.features=pixels is what people type
    plugins = config.get("plugins") or []
    if OmegaConf.is_list(plugins) and all(isinstance(name, str) for name in plugins):  # else the schema complains
        load_plugins(plugins)
    scoring = config.get("fid")
    if OmegaConf.is_dict(scoring) and scoring.get("features", ()) is None:  # filled in, as a penalty's weight below
        scoring.features = own_features(str(OmegaConf.select(config, "data.name")))
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
    return validated


def checked(config: Config) -> Config:
    """The second half: ranges, and what goes together. Fills in penalties' weights, in place."""
    for key, value in leaves(config):
        complaint = CHECKS[key](value) if key in CHECKS else None
        if complaint:
            raise UserError(f"{key}={shown(value)}: {complaint}")
    fill_in_weights(config.loss)
    check_combinations(config)
    return config


def fill_in_weights(loss: LossConfig) -> None:
    """The penalties' own where none are given: they stand in results, and decide a run's identity.

    Raises:
        UserError: there are not as many weights as penalties.
    """
    names, given = as_list(loss.penalty), as_list(loss.penalty_weight)
    if loss.penalty_weight is None:
        given = [None] * len(names)
    if len(given) != len(names):
        raise UserError(
            f"loss.penalty_weight={shown(loss.penalty_weight)}: must be as many as loss.penalty={shown(loss.penalty)}"
        )
    weights = [float(own if asked is None else asked) for asked, own in zip(given, own_weights(names), strict=True)]
    # A list of one is that one: the same training has one name.
    loss.penalty, loss.penalty_weight = (names, weights) if len(names) > 1 else (names[0], weights[0])


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
        told = {key: value for key, value in told.items() if key not in ("of", "choices", "multiple_of")}
        return {**load_group_option("arch", "cnn32"), "name": name, **told}
    told = {key: value for key, value in told.items() if key != "of"}
    return {**YOUNG_DATA_KEYS, **told, "name": name, "image_size": told.get("image_size") or 32}


@cache
def _dataclass_of(name: str, defaults: tuple[tuple[str, Any], ...]) -> type:
    types = [
        (key, str if value == MISSING else type(value), field(default=YOUNG_DATA_KEYS.get(key, MISSING)))
        for key, value in defaults
    ]
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
    groups: dict[str, list[type[Any]]]
    groups = {"loss": [LossConfig], "optim": [OptimConfig], "train": [TrainConfig], "fid": [FidConfig]}
    groups |= {"ema": [EmaConfig], "limits": [LimitsConfig]}
    groups |= {f"schedule.{each.name}": [RampConfig] for each in fields(ScheduleConfig)}
    groups |= {"arch": [ArchConfig], "data": [data_schema(name) for name in register.names("dataset")]}
    for group, schemas in groups.items():
        keys |= {f"{group}.{each.name}" for schema in schemas for each in fields(schema)}
    keys |= {each.name for each in fields(Config) if each.name not in {group.split(".")[0] for group in groups}}
    return sorted(keys)


# --- messages ---------------------------------------------------------------------------------------------------------


def unknown_key(key: str, value: object = None) -> str:
    assigned = f"{key}={shown(value)}" if value is not None else key
    if key in known_keys():
        group = key.split(".")[0]
        return f"{assigned}: the {group} that is chosen has no such key; leave it out, or choose another {group}"
    near = difflib.get_close_matches(key, known_keys(), n=1, cutoff=0.6)
    if not near:  # a right last name under a wrong first one, or the other way round
        last = key.rsplit(".", 1)[-1]
        near = [known for known in known_keys() if known.rsplit(".", 1)[-1] == last][:1]
    hint = f"did you mean {near[0]}?" if near else "`rgan-train --cfg job` prints all keys"
    return f"{assigned}: there is no key {key}; {hint}"


def keys_below(key: str) -> list[str]:
    return [known for known in known_keys() if known.startswith(f"{key}.")]


def not_a_value(key: str, value: object) -> str:
    """Of a group of keys, which somebody gave a value."""
    return f"{key}={shown(value)}: it has no value, but keys of its own: {', '.join(keys_below(key)[:6])}"


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
        if keys_below(key):
            return not_a_value(key, value)
        wanted = _wanted_type(str(error.msg))
        hint = f"; write {int(value)}" if wanted == "an integer" and _is_whole(value) else ""
        return f"{key}={shown(value)}: must be {wanted}{hint}"
    return one_line(error)


def _resolved(config: DictConfig) -> DictConfig:
    try:
        return _copy(config, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(one_line(error)) from error


def _copy(config: DictConfig, *, resolve: bool) -> DictConfig:
    copied = OmegaConf.create(OmegaConf.to_container(config, resolve=resolve, throw_on_missing=False))
    assert isinstance(copied, DictConfig)
    return copied


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


def _hint_for_missing(key: str) -> str:
    return " (a folder or a .zip of images)" if key == "data.root" else ""
