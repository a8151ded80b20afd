"""Hydra's launchers: where cells run, and what each kind needs beyond what its plugin does."""

import re
import signal
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from omegaconf import DictConfig

from rgan_bench.errors import UserError
from rgan_bench.sweeps import jobs, on_ray, side_by_side
from rgan_bench.sweeps.outcomes import Sweep
from rgan_bench.sweeps.slurm import being_preempted, queue


def is_basic(launcher: str) -> bool:
    """Hydra's own, which runs one cell after another."""
    return "basic" in launcher.lower()


def stops_together(launcher: str) -> bool:
    """Where cells run one by one, or side by side on this machine, who stops one means all. On a cluster each has its
    own time limit, and may be preempted alone."""
    return re.search(r"basic|joblib", launcher, re.IGNORECASE) is not None


def leave_the_job(launcher: str, exit_status: int) -> None:
    """After a stop that is saved and recorded: has submitit requeue the job where Slurm would not, and else ends it as
    what it is, one that is not complete.

    Raises:
        SystemExit: within a job of submitit.
    """
    if "submitit" not in launcher:
        return
    if being_preempted():
        signal.raise_signal(signal.SIGUSR2)
    raise SystemExit(exit_status)


def prepare(config: DictConfig, cells: list[str]) -> None:
    """
    Args:
        cells: what the sweep will consist of.

    Raises:
        UserError: the launcher's plugin is not installed; jobs of other cells still run in the sweep's folder.
    """
    name = str(config.hydra.launcher._target_)
    kind: Any = Plugins.instance().class_name_to_class.get(name)
    if kind is None and name.startswith("hydra_plugins."):
        plugin = name.split(".")[1].removeprefix("hydra_").removesuffix("_launcher")
        extra = "slurm" if plugin == "submitit" else plugin
        raise UserError(f"hydra/launcher: {name} is not installed; pip install 'rgan-bench[{extra}]'")
    if "submitit" in name:
        refuse_jobs_of_others(Sweep(Path(config.hydra.sweep.dir).absolute()), cells)
        kind.launch = jobs.launch
    elif "RayLauncher" in name:
        kind.launch = on_ray.launch
    elif "JoblibLauncher" in name:
        kind.launch = side_by_side.launch


def refuse_jobs_of_others(sweep: Sweep, cells: list[str]) -> None:
    """
    Args:
        cells: what the sweep will consist of.

    Raises:
        UserError: another one left jobs in its folder, which would write their outcomes there.
    """
    earlier = jobs.read(sweep.jobs)
    if not earlier or not sweep.plan.exists() or sweep.cells() == cells:
        return
    now = queue() or {}
    alive = [job for job in earlier if job.id in now and job.script_is(now[job.id].script)]
    if alive:
        raise UserError(
            f"hydra.sweep.dir={sweep.folder}: {jobs.shown(alive)} of other cells still run in it; "
            f"choose another, or end them: scancel {' '.join(job.id for job in alive)}"
        )
