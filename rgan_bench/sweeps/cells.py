"""The configs of a sweep's cells.

Composing and validating one takes Hydra and OmegaConf some 80 ms, and most differ from another one in plain values
only: these are set in a copy of that one's. What is not as plain as that goes the long way, and so do mistakes.
"""

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, make_dataclass
from functools import cache, reduce
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import MISSING, AnyNode, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rgan_bench.config.schema import Config
from rgan_bench.config.validate import LISTS, checked, typed

# Keys whose values decide what else there is, or stand for something else.
NOT_PLAIN = {*LISTS, "arch.name", "data.name"}


@dataclass(frozen=True)
class Pattern:
    """A cell, for others that have the same overrides up to their plain values.

    Attributes:
        values: of its plain overrides, by key.
        config: of the right types, and not checked any further.
    """

    values: dict[str, Any]
    config: Config

    def with_values(self, values: dict[str, Any]) -> Config:
        """
        Raises:
            OmegaConfBaseException: one is of another type than its key.
        """
        config = copy.deepcopy(self.config)
        for key, value in values.items():
            if repr(value) != repr(self.values[key]):
                owner, last = owner_of(config, key)
                setattr(owner, last, converted(type(owner), last, value))
        return config


class Cells:
    """
    Args:
        config: of the sweep that Hydra is about to run.
    """

    def __init__(self, config: DictConfig) -> None:
        self.config = config
        self.groups = set(config.hydra.runtime.choices)
        self.plain = cache(self._plain)
        self.patterns: dict[tuple[str, ...], Pattern | None] = {}

    def config_of(self, overrides: Sequence[str]) -> Config:
        """What `validate` makes of a cell as Hydra composes it.

        Raises:
            UserError: it is refused.
            HydraException: it cannot be composed.
        """
        values = {key: value for key, value in map(self.plain, overrides) if key}
        kind = tuple(each.partition("=")[0] if self.plain(each)[0] else each for each in overrides)
        pattern = self.patterns.get(kind)
        if pattern is not None:
            try:
                return checked(pattern.with_values(values))
            except OmegaConfBaseException:
                pass  # the long way says what is wrong
        composed = GlobalHydra.instance().config_loader().load_sweep_config(self.config, list(overrides))
        keys: list[Any] = [key for key in composed if key != "hydra"]  # one that is no text is refused
        own = OmegaConf.masked_copy(composed, keys)
        config = typed(own)
        if kind not in self.patterns:
            same_groups = self.groups == set(composed.hydra.runtime.choices)
            able = same_groups and is_pattern(own, config, list(values), self.keys_set(overrides))
            self.patterns[kind] = Pattern(values, copy.deepcopy(config)) if able else None
        return checked(config)

    def keys_set(self, overrides: Sequence[str]) -> list[str]:
        """By overrides of values: those that choose a group's option come before all of them."""
        split = [each.partition("=") for each in overrides]
        return [key.lstrip("+~") for key, _, value in split if key not in self.groups or value.startswith("{")]

    def _plain(self, override: str) -> tuple[str, Any]:
        """Key and value where it sets one key to one value, whatever else there is; else an empty key."""
        key = override.partition("=")[0]
        name = re.fullmatch(r"(?!hydra\.)[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", key)
        if not name or key in NOT_PLAIN or key in self.groups:
            return "", None
        try:
            value = OverridesParser.create().parse_override(override).value()
        except HydraException:
            return "", None
        if not isinstance(value, int | float | str | None) or (isinstance(value, str) and {"$", "?"} & set(value)):
            return "", None  # lists and mappings are merged; interpolations and ??? mean something else
        return key, value


def is_pattern(composed: DictConfig, config: Config, plain: list[str], every: list[str]) -> bool:
    """Whether the values of plain overrides stand in the config as they are, and decide nothing else in it.

    Args:
        plain: their keys.
        every: these, and the keys of all others that set values.
    """
    if "${" in str(OmegaConf.to_container(composed, resolve=False)):
        return False
    for key in plain:
        if sum(f"{other}.".startswith(f"{key}.") or f"{key}.".startswith(f"{other}.") for other in every) > 1:
            return False
        *groups, last = key.split(".")
        parent = OmegaConf.select(composed, ".".join(groups)) if groups else composed
        owner, _ = owner_of(config, key)
        if type(parent._get_node(last)) is not AnyNode or is_dataclass(getattr(owner, last)):
            return False
    return True


def owner_of(config: Config, key: str) -> tuple[Any, str]:
    """The part of a config that holds a key, and the key's name in it."""
    *groups, last = key.split(".")
    return reduce(getattr, groups, config), last


def converted(owner: type, name: str, value: Any) -> Any:
    """A value as a key of this dataclass has it: 1 as 1.0 where it is a float.

    Raises:
        OmegaConfBaseException: it cannot be one.
    """
    (kind,) = (each.type for each in fields(owner) if each.name == name)
    schema = OmegaConf.structured(make_dataclass("schema", [(name, kind, MISSING)]))
    return getattr(OmegaConf.to_object(OmegaConf.merge(schema, {name: value})), name)
