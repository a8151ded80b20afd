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
from rgan_bench.console import print_outcome
from rgan_bench.errors import UserError, full_errors_wanted, one_line, show, shown_as_one_line
from rgan_bench.runs import RunFolder

EXIT_DIVERGED = 3


def main() -> None:
    """The entry point. Errors come as one line, unless HYDRA_FULL_ERROR=1."""
    full = full_errors_wanted()
    statuses: list[int] = []
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing: the one line is ours to write

    @hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="config")
    def app(composed: DictConfig) -> None:
        try:
            statuses.append(run(composed))
        except UserError as error:
            if full:
                raise
            # Not raised through Hydra, which would add lines of its own and end a sweep at its first bad run.
            statuses.append(show("rgan-train", error))

    with shown_as_one_line("rgan-train", full=full):
        try:
            app()
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(explain(error)) from error
        finally:
            if not full:
                del os.environ["HYDRA_FULL_ERROR"]
    sys.exit(max(statuses, default=0))


def run(composed: DictConfig) -> int:
    """One run, from the composed config to the exit status."""
    config = validate(composed)
    folder = RunFolder.of(config)
    result = folder.read_result()
    if result and result.get("status") == "finished" and result.get("iteration", 0) >= config.train.iterations:
        print(f"{folder.path}: finished already; more train.iterations would train on")
        print_outcome(result, folder.path)
        return 0

    from rgan_bench.experiment import run_experiment  # imports torch, so only now

    result = run_experiment(config, hydra_files(composed))
    if result["status"] == "interrupted":
        print(f"rgan-train: stopped; saved in {folder.path}, where the same command continues", file=sys.stderr)
        sys.exit(128 + result["signal"])  # at once: in a sweep the runs to come are not wanted either
    if result["status"] == "diverged":
        values = ", ".join(result["not_finite"])
        print(f"rgan-train: diverged at iteration {result['iteration']:,}: {values} not finite", file=sys.stderr)
        return EXIT_DIVERGED
    return 0


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
