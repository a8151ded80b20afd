"""The command that makes a run, so that it lands in the run's own folder."""

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rgan_bench.catalogue.entry import FoundRun, leaves
from rgan_bench.config.validate import config_dir, group_options, unknown_key, validate
from rgan_bench.errors import UserError, one_line
from rgan_bench.report.parts import printable
from rgan_bench.run.folder import RunFolder

GROUPS = ("loss", "arch", "data")
CHOSEN = ("arch.name", "arch.image_size", "data.name")  # with the group; they cannot be set
PLAIN = re.compile(r"([A-Za-z_/]|\.\.?/)[\w./-]*|\.\.?", re.ASCII)  # what needs no quotes among Hydra's overrides
WORDS = ("null", "true", "false", "inf", "nan")  # and what does, since it would mean something else


@dataclass(frozen=True)
class Command:
    """
    Attributes:
        overrides: of rgan-train.
        notes: what one must know before calling it: that it would train another run, say.
    """

    overrides: list[str]
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return shlex.join(["rgan-train", *self.overrides])


def command_of(run: FoundRun, changes: Sequence[str] = ()) -> Command:
    """That in result.json, if it still makes this run, else one from the settings that depart from the defaults.

    Args:
        changes: further overrides, in place of those of the same keys.

    Raises:
        UserError: neither is known, or the changes are refused.
    """
    own = overrides_in(run.command)
    if run.config.get("plugins") or any(key_of(each) == "plugins" for each in own):
        # They are not imported: a file must not decide which code runs.
        if not own:
            raise UserError(f"{printable(run.path)}: was made from Python, with plugins; only that program knows how")
        return Command(changed(own, changes), ["it needs plugins, so that it was not tried whether it makes this run"])
    tried = [placed(own, run.path)] if own else []
    if not (tried and lands_in(tried[0]) == real(run.path)) and run.config:
        tried.append(placed(departures(run.config), run.path))
    if not tried:
        why = run.problem or run.status
        raise UserError(f"{printable(run.path)}: neither its command nor its config is known ({why})")
    best = next((overrides for overrides in tried if lands_in(overrides) == real(run.path)), tried[-1])
    overrides = changed(best, changes)
    at = RunFolder.of(validate(composed(overrides))).path
    if real(at) == real(run.path):
        return Command(overrides)
    return Command(overrides, [f"this would train in {printable(at)}, not in {printable(run.path)}"])


def overrides_in(command: str | None) -> list[str]:
    """Of a command of rgan-train; empty: it is none that can be taken apart."""
    try:
        program, *overrides = shlex.split(command or "")
        return overrides if program == "rgan-train" and all(map(key_of, overrides)) else []
    except ValueError:
        return []


def key_of(override: str) -> str:
    """The key that it sets; empty: it is no override, or one of Hydra's own settings."""
    found = re.match(r"[+~]*([A-Za-z_][\w./]*)(@[\w.]*)?=", override)
    return found[1] if found and not re.match(r"hydra\b", found[1]) else ""


def changed(overrides: Sequence[str], changes: Sequence[str]) -> list[str]:
    """With each change in place of what was set before at the same key; Hydra takes a group only once."""
    keys = {key_of(change) for change in changes}
    return [*(each for each in overrides if key_of(each) not in keys), *changes]


def placed(overrides: list[str], path: Path) -> list[str]:
    """With the output_root that leads to this folder, where there is another, or one relative to another folder."""
    try:
        root = composed(overrides).output_root
    except UserError:
        return overrides
    if real(Path(str(root))) == real(path.parent):
        return overrides
    return changed(overrides, [f"output_root={quoted(str(path.parent))}"])


def lands_in(overrides: Sequence[str]) -> str | None:
    """The folder in which a run with these overrides trains; None: they are refused."""
    try:
        return real(RunFolder.of(validate(composed(overrides))).path)
    except UserError:
        return None


def real(path: Path) -> str:
    return os.path.realpath(path)


@lru_cache(maxsize=16)
def _composed(overrides: tuple[str, ...]) -> DictConfig:
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return compose("config", overrides=list(overrides))


def composed(overrides: Sequence[str]) -> DictConfig:
    """
    Raises:
        UserError: Hydra refuses them.
    """
    for override in overrides:
        if not key_of(override):
            raise UserError(f"{printable(override)}: not an override of rgan-train; write KEY=VALUE")
    try:
        return _composed(tuple(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        unknown = re.search(r"Could not override '([^']+)'", str(error))
        reason = unknown_key(unknown[1]) if unknown else f"{shlex.join(overrides)}: {one_line(error)}"
        raise UserError(printable(reason)) from error


def departures(config: dict[str, Any]) -> list[str]:
    """Overrides that make this config from the defaults: loss, arch and data, and what departs from theirs.

    Raises:
        UserError: its arch or data is none of this version.
    """
    chosen = [f"{group}={config[group]['name']}" for group in GROUPS if config[group]["name"] in group_options(group)]
    base = composed(chosen)
    try:
        defaults = asdict(validate(base))
    except UserError:  # they do not fit together without the rest
        defaults = OmegaConf.to_container(base, throw_on_missing=False)  # type: ignore[assignment]  # a dict's is one
    known = dict(leaves(defaults))
    missing = object()
    return [
        *chosen,
        *(
            f"{key}={quoted(value)}"
            for key, value in leaves(config)
            if key not in CHOSEN and known.get(key, missing) != value
        ),
    ]


def quoted(value: Any) -> str:
    """A value as Hydra's overrides have it."""
    if isinstance(value, list):
        return f"[{','.join(map(quoted, value))}]"
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    if not isinstance(value, str):
        return str(value)
    if PLAIN.fullmatch(value) and value.lower() not in WORDS:
        return value
    escaped = re.sub(r"(\\*)\$\{", r"\1\1\\${", value)  # of OmegaConf's interpolation; then of the quotes
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", escaped)
    ending = re.search(r"\\*$", escaped)
    return f"'{escaped}{ending[0] if ending else ''}'"
