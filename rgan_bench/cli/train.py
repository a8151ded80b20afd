"""rgan-train: a Hydra app."""

import contextlib
import os
import shlex
import sys
import traceback
from dataclasses import replace
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from rgan_bench.api.compose import (
    check_arguments,
    command,
    explain,
    hydra_files,
    open_the_door,
    refuse_a_sweep,
)
from rgan_bench.cli.arguments import VERSION, for_hydra
from rgan_bench.cli.hydra_help import let_lazy_help_pass
from rgan_bench.config.validate import config_dir, validate
from rgan_bench.console import say, speak_as
from rgan_bench.errors import UserError, full_errors_wanted, one_line, show, shown_as_one_line
from rgan_bench.locks import Busy
from rgan_bench.run.folder import RunFolder
from rgan_bench.run.objective import objective, value_of
from rgan_bench.run.standing import answer, refuse_the_past
from rgan_bench.run.stops import interrupts_raise
from rgan_bench.streams import prepare_streams
from rgan_bench.sweeps.finished import retell
from rgan_bench.sweeps.launchers import is_basic, leave_the_job, stops_together
from rgan_bench.sweeps.outcomes import STOPPED, Outcome, Sweep, exit_status, outcome_of, print_sweep
from rgan_bench.sweeps.plan import WatchSweep
from rgan_bench.sweeps.side_by_side import as_one_of_several, leave_if_orphaned

EXIT_DIVERGED = 3
EXIT_NOT_SCORED = 4


def main() -> None:
    """The entry point. Errors come as one line, unless HYDRA_FULL_ERROR=1."""
    prepare_streams(tolerant=True)  # training goes on when nobody listens any more
    let_lazy_help_pass()
    full = full_errors_wanted()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing: the one line is ours to write
    done: list[Outcome] = []
    sweeps: list[Sweep] = []
    begun: list[bool] = []
    broken = ""

    @hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="config")
    def app(composed: DictConfig) -> float | None:
        begun.append(True)
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            return run_cell(composed)
        done.append(run(composed, full=full))
        return None

    WatchSweep.on_start = sweeps.append
    with shown_as_one_line("rgan-train", full=full):
        try:
            if "--version" in sys.argv[1:]:
                print(VERSION)
                return
            check_arguments(sys.argv[1:])
            flags = [flag for action in get_args_parser()._actions for flag in action.option_strings]
            sys.argv[1:] = for_hydra(sys.argv[1:], flags)
            open_the_door(sys.argv[1:])
            app()
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(explain(error, sys.argv[1:])) from error
        except Exception as error:
            if sweeps and sweeps[-1].recorded() and not full:  # whatever it is, cells have run, and have outcomes
                broken = one_line(f"{type(error).__name__}: {error}")
            # Before our part begins, an exception of any other kind is Hydra stumbling over what it was given.
            elif begun or isinstance(error, UserError):
                raise
            else:
                raise UserError(
                    f"{shlex.join(sys.argv[1:])}: Hydra fails on this ({explain(error, sys.argv[1:])})"
                ) from error
        finally:
            if not full:
                del os.environ["HYDRA_FULL_ERROR"]
    if sweeps:
        outcomes = sweeps[-1].outcomes()
        print_sweep(outcomes)
        if broken:
            print(f"rgan-train: error: the sweep broke off: {broken}; the same command goes on", file=sys.stderr)
        sys.exit(exit_status(outcomes) or int(bool(broken)))
    sys.exit(max((outcome.exit_status for outcome in done), default=0))


def run_cell(composed: DictConfig) -> float | None:
    """One cell of a sweep. Whatever happens to it is recorded, and none of it stops the others.

    Returns:
        By what a sweeper that searches compares it with others, as `value_of` has it.
    """
    prepare_streams(tolerant=True)  # in another process, with some launchers
    settings = HydraConfig.get()
    sweep, number, overrides = Sweep(Path(settings.sweep.dir)), settings.job.num, list(settings.overrides.task)
    launcher = settings.launcher._target_
    if sweep.stopped.exists():
        outcome = Outcome("not started", reason=STOPPED)
    else:
        print(f"\n{sweep.where_it_stands(number, overrides)}", flush=True)
        sweep.begin(number, sweep.told(number, overrides))
        try:
            alone = is_basic(launcher)
            with as_one_of_several(sweep):
                outcome = run(composed, full=False, brief=True, wait=sweep.shares_its_run(number), named=not alone)
        except Exception as error:  # a bug or a full device must not cost the cells to come
            traceback.print_exc()
            outcome = Outcome("failed", reason=one_line(f"{type(error).__name__}: {error}"), exit_status=1)
    if outcome.status == "interrupted" and stops_together(launcher):
        sweep.stopped.touch()
    try:
        sweep.record(replace(outcome, number=number, overrides=sweep.told(number, overrides)))
    finally:
        leave_if_orphaned(outcome.exit_status)
    if outcome.status == "interrupted":
        leave_the_job(launcher, outcome.exit_status)
    with contextlib.suppress(UserError):  # refused, which its outcome says
        name, higher = objective(validate(composed), settings.sweeper.get("score"))
        return value_of(outcome.status, outcome.scores, name, higher=higher)
    return None


def run(composed: DictConfig, *, full: bool, brief: bool = False, wait: bool = False, named: bool = False) -> Outcome:
    """One run, from the composed config to what became of it.

    Args:
        full: raise a user's mistakes instead of printing them.
        brief: one line instead of the whole outcome where there is nothing to do.
        wait: for another process that trains this run.
        named: each line begins with the run's name: others may write to the same place.
    """
    try:
        speak_as("")  # a process that runs one cell after another
        settings = HydraConfig.get()
        if settings.mode != RunMode.MULTIRUN:
            refuse_a_sweep(settings.sweeper.params, settings.overrides.task)
        config = validate(composed)
        folder = RunFolder.of(config)
        speak_as(folder.path.name if named else "")
        started_as = int(os.environ.get("RANK", "0"))
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            if settings.mode == RunMode.MULTIRUN:
                raise UserError("-m: torchrun starts the ranks of one run; for sweeps leave it out, and set devices=N")
            if started_as > 0:
                from rgan_bench.run.crew import follow

                with contextlib.suppress(UserError):  # rank 0 has the same to say
                    follow(config)
                return Outcome("finished", str(folder.path))
        else:
            known = answer(folder, config)
            if known:
                return retell(known, folder, brief=brief)
        refuse_the_past(folder, config)
        if "torch" not in sys.modules:
            say("loading PyTorch" if named else f"{folder.path}: loading PyTorch")

        from rgan_bench.run.experiment import run_experiment  # imports torch, so only now

        interrupts_raise()
        overrides = list(settings.overrides.task)
        files = hydra_files(composed, settings, overrides)
        result = run_experiment(config, files, command(overrides), wait=wait)
        if result is None:
            known = answer(folder, config)
            assert known is not None, folder.path  # it was there a moment ago
            return retell(known, folder, brief=True)
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
        say(f"rgan-train: stopped; saved in {folder.path}, where the same command continues")
        return outcome_of(result, folder.path, exit_status=128 + result["signal"])
    if result["status"] == "diverged":
        first = result["diverged"]
        reason = f"at iteration {first['iteration']:,}: {', '.join(first['not_finite'])} not finite"
        say(f"rgan-train: diverged {reason}")
        return outcome_of(result, folder.path, reason=reason, exit_status=EXIT_DIVERGED)
    failed = [each["reason"] for each in result["failed_scores"] if each["iteration"] == result["iteration"]]
    if failed:
        reason = f"the score at iteration {result['iteration']:,} failed: {'; '.join(failed)}"
        say(f"rgan-train: {reason}; the same command scores again")
        return outcome_of(result, folder.path, "not scored", reason=reason, exit_status=EXIT_NOT_SCORED)
    return outcome_of(result, folder.path)
