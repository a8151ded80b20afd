"""Overrides, as Hydra's grammar has them, → the composed config; and what is wrong with them, in one line."""

import contextlib
import re
import shlex
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.singleton import Singleton
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rgan_bench import register
from rgan_bench.config.validate import config_dir, group_node, keys_below, not_a_value, unknown_key, unknown_option
from rgan_bench.errors import UserError, one_line
from rgan_bench.plugins import load_plugins

# Options that come with a plugin of Hydra, and the extra that brings it.
EXTRAS = {
    "hydra/launcher/joblib": "joblib",
    "hydra/launcher/submitit_slurm": "slurm",  # which hydra/launcher=slurm builds upon
    "hydra/launcher/submitit_local": "slurm",
}
# For the help text: what there is, plugins' things among them.
OmegaConf.register_new_resolver("names", lambda kind: ", ".join(register.names(kind)), replace=True)


def compose_config(overrides: Sequence[str]) -> tuple[DictConfig, dict[str, str]]:
    """As `rgan-train` composes them, and name → content of what goes into the run folder's `.hydra/`.

    Raises:
        UserError: an override is none, or names a key or an option that there is not.
    """
    for override in overrides:
        if not isinstance(override, str):
            raise UserError(f'{override!r}: not an override; write texts, as on the command line: "optim.lr=1e-4"')
    check_arguments(overrides)
    try:
        open_the_door(overrides)
        with _no_other_hydra(), initialize_config_dir(str(config_dir()), version_base="1.3", job_name="rgan-train"):
            whole = compose("config", overrides=list(overrides), return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error, overrides)) from error
    refuse_a_sweep(whole.hydra.sweeper.params, overrides)
    composed = OmegaConf.masked_copy(whole, [key for key in whole if key != "hydra"])  # type: ignore[misc]  # texts
    return composed, hydra_files(composed, whole.hydra, overrides)


@contextlib.contextmanager
def _no_other_hydra() -> Iterator[None]:
    """Within somebody's own Hydra app, there is one already."""
    if not GlobalHydra.instance().is_initialized():
        yield
        return
    theirs = Singleton.get_state()
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        Singleton.set_state(theirs)


def hydra_files(composed: DictConfig, hydra: Any, overrides: Sequence[str]) -> dict[str, str]:
    """What Hydra itself would have put into the run folder's .hydra."""
    return {
        "config.yaml": OmegaConf.to_yaml(composed),
        "overrides.yaml": OmegaConf.to_yaml(list(overrides)),
        "hydra.yaml": OmegaConf.to_yaml(OmegaConf.create({"hydra": hydra})),
    }


def command(overrides: Sequence[str]) -> str:
    """That makes the run of these: of a sweep, of the cell alone."""
    return shlex.join(["rgan-train", *overrides])


def check_arguments(arguments: Sequence[str]) -> None:
    """What Hydra takes and this app cannot heed.

    Raises:
        UserError: there is something of that kind.
    """
    for argument in arguments:
        if re.match(r"[+~]*hydra\.(run\.dir|output_subdir)\b", argument):
            raise UserError(
                f"{argument}: has no effect here; run folders are made in output_root, under names of their own"
            )


def refuse_a_sweep(swept: Mapping[str, str] | None, overrides: Sequence[str]) -> None:
    """
    Args:
        swept: what the config would have Hydra's sweeper sweep across.

    Raises:
        UserError: there is something, and one run is asked for.
    """
    if swept:
        shown = " ".join(f"{key}={values}" for key, values in swept.items())
        raise UserError(f"{' '.join(overrides)}: is a sweep of several runs ({shown}); add -m to rgan-train")


def open_the_door(arguments: Sequence[str]) -> None:
    """Imports what `plugins=` names, before Hydra composes: their networks and data sets are then options of the groups
    `arch` and `data`. (Plugins that only a config file names are imported when it is validated.)

    Raises:
        UserError: a plugin cannot be had.
    """
    wanted: list[str] = []
    for argument in arguments:
        if re.match(r"\+*plugins=", argument):
            value = OverridesParser.create().parse_override(argument).value()
            wanted = [str(name) for name in value] if isinstance(value, list) else [str(value)]
    load_plugins(wanted)
    # Our preset of this name takes the place of the plugin's, and must have its keys: just as this says.
    warnings.filterwarnings("ignore", r"\s*'hydra/launcher/ray' is validated against")
    for group, kind in (("arch", "network"), ("data", "dataset")):
        for name in register.names(kind):
            if register.plugin_of(kind, name) is not None:
                ConfigStore.instance().store(group=group, name=name, node=group_node(group, name))


def explain(error: Exception, arguments: Sequence[str]) -> str:
    """Hydra's and OmegaConf's complaints about these arguments in one line with value and remedy."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file in EXTRAS:
        extra = EXTRAS[error.missing_cfg_file]
        return f"{error.missing_cfg_file}: its plugin is not installed; pip install 'rgan-bench[{extra}]'"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options is not None:
        group, _, option = error.missing_cfg_file.rpartition("/")
        return unknown_option(group, option, error.options)
    if isinstance(error, OverrideParseException):
        reason = one_line(str(error.__cause__ or error).split("\n")[0])
        return f"{error.override}: not an override ({reason}); write KEY=VALUE, or quote what the shell would change"
    could_not = re.search(r"Could not override '([^']+)'", str(error))
    if could_not:
        return unknown_key(could_not[1], _value_of(could_not[1], arguments))
    merging = re.search(r"Error merging override ([^=]+)=(.*)", str(error))
    if merging and keys_below(merging[1]):
        return not_a_value(merging[1], merging[2])
    return re.sub(r" ?Set the environment variable HYDRA_FULL_ERROR.*", "", one_line(error))


def _value_of(key: str, arguments: Sequence[str]) -> Any:
    for argument in arguments:
        name, _, value = argument.partition("=")
        if name.lstrip("+~") == key:
            return value
    return None
