"""rgan-train: a Hydra app."""

import os
import re
import sys
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rgan_bench.config import config_dir, unknown_key, unknown_option, validate
from rgan_bench.errors import UserError, full_errors_wanted, one_line, shown_as_one_line
from rgan_bench.runs import RunFolder

EXIT_DIVERGED = 3


def main() -> None:
    """The entry point. Errors come as one line, unless HYDRA_FULL_ERROR=1."""
    full = full_errors_wanted()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing, and the line below is ours to write
    try:
        with shown_as_one_line("rgan-train"):
            try:
                app()
            except (HydraException, OmegaConfBaseException) as error:
                raise UserError(explain(error)) from error
            except UserError:
                raise
    finally:
        if not full:
            del os.environ["HYDRA_FULL_ERROR"]


@hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="config")
def app(composed: DictConfig) -> None:
    config = validate(composed)
    folder = RunFolder.of(config)
    result = folder.read_result()
    if result and result.get("status") == "finished" and result.get("iteration", 0) >= config.train.iterations:
        from rgan_bench.console import print_outcome

        print(f"{folder.path}: finished already; more train.iterations would train on")
        print_outcome(result, folder.path)
        return

    from rgan_bench.experiment import continue_hint, run_experiment  # imports torch, so only now

    experiment = run_experiment(config, hydra_files(composed))
    if experiment["status"] == "interrupted":
        print(f"rgan-train: stopped: {continue_hint(folder.path)}", file=sys.stderr)
        sys.exit(130)
    if experiment["status"] == "diverged":
        print(f"rgan-train: diverged at iteration {experiment['iteration']}", file=sys.stderr)
        sys.exit(EXIT_DIVERGED)


def hydra_files(composed: DictConfig) -> dict[str, str]:
    """What Hydra itself would have put into the run folder's .hydra."""
    settings = HydraConfig.get()
    return {
        "config.yaml": OmegaConf.to_yaml(composed),
        "overrides.yaml": OmegaConf.to_yaml(settings.overrides.task),
        "hydra.yaml": OmegaConf.to_yaml(OmegaConf.create({"hydra": settings})),
    }


def explain(error: Exception) -> str:
    """Hydra's and OmegaConf's complaints in one line with value and remedy."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options is not None:
        group, _, option = error.missing_cfg_file.rpartition("/")
        return unknown_option(group, option, error.options)
    if isinstance(error, OverrideParseException):
        reason = one_line(str(error.__cause__ or error).split("\n")[0])
        return f"{error.override}: not an override ({reason}); write KEY=VALUE, or quote what the shell would change"
    could_not = re.search(r"Could not override '([^']+)'", str(error))
    if could_not:
        return unknown_key(could_not[1], value_on_command_line(could_not[1]))
    return re.sub(r" ?Set the environment variable HYDRA_FULL_ERROR.*", "", one_line(error))


def value_on_command_line(key: str) -> Any:
    for argument in sys.argv[1:]:
        name, _, value = argument.partition("=")
        if name.lstrip("+~") == key:
            return value
    return None
