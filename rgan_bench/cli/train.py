"""rgan-train: a Hydra app."""

import os
import re
import shlex
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rgan_bench import register
from rgan_bench.cli.hydra_help import let_lazy_help_pass
from rgan_bench.config.validate import (
    config_dir,
    group_node,
    keys_below,
    not_a_value,
    unknown_key,
    unknown_option,
    validate,
)
from rgan_bench.console import score_label
from rgan_bench.errors import UserError, full_errors_wanted, one_line, show, shown_as_one_line
from rgan_bench.locks import Busy
from rgan_bench.plugins import load_plugins
from rgan_bench.run.folder import RunFolder
from rgan_bench.run.outcome import print_outcome
from rgan_bench.run.standing import Answer, answer
from rgan_bench.run.stops import interrupts_raise
from rgan_bench.streams import prepare_streams
from rgan_bench.sweeps.outcomes import Outcome, Sweep, exit_status, outcome_of, print_sweep
from rgan_bench.sweeps.plan import WatchSweep

EXIT_DIVERGED = 3
EXIT_NOT_SCORED = 4

# For the help text: what there is, plugins' things among them.
OmegaConf.register_new_resolver("names", lambda kind: ", ".join(register.names(kind)), replace=True)


def main() -> None:
    """The entry point. Errors come as one line, unless HYDRA_FULL_ERROR=1."""
    prepare_streams(tolerant=True)  # training goes on when nobody listens any more
    let_lazy_help_pass()
    full = full_errors_wanted()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing: the one line is ours to write
    done: list[Outcome] = []
    sweeps: list[Sweep] = []
    begun: list[bool] = []

    @hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="config")
    def app(composed: DictConfig) -> None:
        begun.append(True)
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            run_cell(composed)
        else:
            done.append(run(composed, full=full))

    WatchSweep.on_start = sweeps.append
    with shown_as_one_line("rgan-train", full=full):
        try:
            check_arguments(sys.argv[1:])
            open_the_door(sys.argv[1:])
            app()
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(explain(error)) from error
        except Exception as error:
            # Before our part begins, an exception of any other kind is Hydra stumbling over what it was given.
            if begun or isinstance(error, UserError):
                raise
            raise UserError(f"{shlex.join(sys.argv[1:])}: Hydra fails on this ({explain(error)})") from error
        finally:
            if not full:
                del os.environ["HYDRA_FULL_ERROR"]
    if sweeps:
        outcomes = sweeps[-1].outcomes()
        print_sweep(outcomes)
        sys.exit(exit_status(outcomes))
    sys.exit(max((outcome.exit_status for outcome in done), default=0))


def check_arguments(arguments: list[str]) -> None:
    """What Hydra takes and this app cannot heed."""
    for argument in arguments:
        if re.match(r"[+~]*hydra\.(run\.dir|output_subdir)\b", argument):
            raise UserError(
                f"{argument}: has no effect here; run folders are made in output_root, under names of their own"
            )


def open_the_door(arguments: list[str]) -> None:
    """Imports what `plugins=` on the command line names, before Hydra composes: their networks and data sets are then
    options of the groups `arch` and `data`. (Plugins that only a config file names are imported when it is validated.)

    Raises:
        UserError: a plugin cannot be had.
    """
    wanted: list[str] = []
    for argument in arguments:
        if re.match(r"\+*plugins=", argument):
            value = OverridesParser.create().parse_override(argument).value()
            wanted = [str(name) for name in value] if isinstance(value, list) else [str(value)]
    load_plugins(wanted)
    for group, kind in (("arch", "network"), ("data", "dataset")):
        for name in register.names(kind):
            if register.plugin_of(kind, name) is not None:
                ConfigStore.instance().store(group=group, name=name, node=group_node(group, name))


def run_cell(composed: DictConfig) -> None:
    """One cell of a sweep. Whatever happens to it is recorded, and none of it stops the others."""
    prepare_streams(tolerant=True)  # in another process, with some launchers
    settings = HydraConfig.get()
    sweep, number = Sweep(Path(settings.sweep.dir)), settings.job.num
    if sweep.stopped.exists():
        outcome = Outcome("not started", reason="the sweep was stopped")
    else:
        print(f"\n{sweep.where_it_stands(number)}", flush=True)
        try:
            outcome = run(composed, full=False, brief=True, wait=sweep.shares_its_run(number))
        except Exception as error:  # a bug or a full device must not cost the cells to come
            traceback.print_exc()
            outcome = Outcome("failed", reason=one_line(f"{type(error).__name__}: {error}"), exit_status=1)
    # Where cells run one by one, or side by side on this machine, who stops one means all. On a cluster each has its
    # own time limit, and may be preempted alone.
    if outcome.status == "interrupted" and re.search(r"basic|joblib", settings.launcher._target_, re.IGNORECASE):
        sweep.stopped.touch()
    sweep.record(replace(outcome, number=number, overrides=sweep.cells()[number]))


def run(composed: DictConfig, *, full: bool, brief: bool = False, wait: bool = False) -> Outcome:
    """One run, from the composed config to what became of it.

    Args:
        full: raise a user's mistakes instead of printing them.
        brief: one line instead of the whole outcome where there is nothing to do.
        wait: for another process that trains this run.
    """
    try:
        config = validate(composed)
        folder = RunFolder.of(config)
        known = answer(folder, config)
        if known:
            return tell(known, folder, brief=brief)

        from rgan_bench.run.experiment import run_experiment  # imports torch, so only now

        interrupts_raise()
        result = run_experiment(config, hydra_files(composed), command(), wait=wait)
        if result is None:
            known = answer(folder, config)
            assert known is not None, folder.path  # it was there a moment ago
            return tell(known, folder, brief=True)
    except Busy as error:
        if full:
            raise
        reason = f"{folder.path} is held by {error}"
        status = show("rgan-train", UserError(f"{reason}; wait for it, or stop it"))
        return Outcome("running elsewhere", str(folder.path), reason=reason, exit_status=status)
    except UserError as error:
        if full:
            raise
        return Outcome("refused", reason=one_line(error), exit_status=show("rgan-train", error))
    if result["status"] == "interrupted":
        print(f"rgan-train: stopped; saved in {folder.path}, where the same command continues", file=sys.stderr)
        return outcome_of(result, folder.path, exit_status=128 + result["signal"])
    if result["status"] == "diverged":
        first = result["diverged"]
        reason = f"at iteration {first['iteration']:,}: {', '.join(first['not_finite'])} not finite"
        print(f"rgan-train: diverged {reason}", file=sys.stderr)
        return outcome_of(result, folder.path, reason=reason, exit_status=EXIT_DIVERGED)
    failed = [each["reason"] for each in result["failed_scores"] if each["iteration"] == result["iteration"]]
    if failed:
        reason = f"the score at iteration {result['iteration']:,} failed: {'; '.join(failed)}"
        print(f"rgan-train: {reason}; the same command scores again", file=sys.stderr)
        return outcome_of(result, folder.path, "not scored", reason=reason, exit_status=EXIT_NOT_SCORED)
    return outcome_of(result, folder.path)


def tell(known: Answer, folder: RunFolder, *, brief: bool) -> Outcome:
    """Prints, and gives as an outcome, what a run answers already."""
    scores = {score_label(name, protocol): value for name, (protocol, value) in known.scores.items()}
    if known.stands_at > known.iteration:
        shown = "".join(f"; {name} {value:.4g} then" for name, value in scores.items())
        print(f"{folder.path}: already past {known.iteration:,}, at {known.stands_at:,}{shown}")
    else:
        print(f"{folder.path}: already finished at {known.iteration:,}; more train.iterations would train on")
        if not brief:
            print_outcome(known.result, folder)
    return Outcome("already finished", str(folder.path), known.iteration, scores)


def command() -> str:
    """That makes this run: in a sweep, of the cell alone."""
    return shlex.join(["rgan-train", *HydraConfig.get().overrides.task])


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
    merging = re.search(r"Error merging override ([^=]+)=(.*)", str(error))
    if merging and keys_below(merging[1]):
        return not_a_value(merging[1], merging[2])
    return re.sub(r" ?Set the environment variable HYDRA_FULL_ERROR.*", "", one_line(error))


def value_on_command_line(key: str) -> Any:
    for argument in sys.argv[1:]:
        name, _, value = argument.partition("=")
        if name.lstrip("+~") == key:
            return value
    return None
