"""Cells as tasks of Ray: told one by one, started anew where a worker dies, and saved at Ctrl-C.

The plugin's own way sizes the memory of objects, which an existing cluster refuses, and leaves workers to be killed.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import open_dict

from rgan_bench.console import tell
from rgan_bench.errors import UserError, one_line
from rgan_bench.run.stops import interrupts_raise
from rgan_bench.sweeps.outcomes import Sweep, told

SAVING_TAKES = 300.0  # seconds that cells are given to save at Ctrl-C


def launch(launcher: Any, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
    """What takes the place of `launch` in the plugin's launcher.

    Raises:
        UserError: there is no Ray at the address, or it cannot be started.
    """
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # lines of cells are alike, and still none is too many
    import ray  # installed where this launcher is
    from hydra_plugins.hydra_ray_launcher import _launcher_util as plugin

    sweep = Sweep(Path(launcher.config.hydra.sweep.dir).absolute())
    settings = launcher.ray_cfg
    interrupts_raise()
    try:
        plugin.start_ray(settings.init)
    except (ConnectionError, RuntimeError, ValueError) as error:
        what = f"no Ray there, or one with another token, see RAY_AUTH_MODE ({one_line(error)})"
        raise UserError(f"hydra.launcher.ray.init={settings.init}: {what}") from error
    if settings.remote.get("num_gpus") is None:
        settings.remote["num_gpus"] = int(ray.cluster_resources().get("GPU", 0) > 0)
    tasks: dict[Any, int] = {}
    for place, overrides in enumerate(job_overrides):
        number = initial_job_idx + place
        cell = launcher.hydra_context.config_loader.load_sweep_config(launcher.config, list(overrides))
        with open_dict(cell):
            cell.hydra.job.id, cell.hydra.job.num = f"job_id_for_{number}", number
            cell.hydra.sweep.dir = str(sweep.folder)
        function = from_folder(str(Path.cwd()), launcher.task_function)
        context, state = launcher.hydra_context, Singleton.get_state()
        tasks[plugin.launch_job_on_ray(context, settings.remote, cell, function, state)] = number
    tell(f"{len(tasks)} cells on Ray, {settings.remote.num_gpus:g} GPUs each")
    try:
        return await_all(ray, tasks, sweep)
    except KeyboardInterrupt:
        tell("stopping: the cells save first; a second Ctrl-C leaves at once")
        sweep.stopped.touch()
        for task in tasks:
            ray.cancel(task)
        return await_all(ray, tasks, sweep, SAVING_TAKES)


def await_all(ray: Any, tasks: dict[Any, int], sweep: Sweep, seconds: float | None = None) -> list[JobReturn]:
    """What each cell returned; a cell without a result raises nothing there: the sweep's table tells of it."""
    left, cells = list(tasks), dict(enumerate(sweep.cells()))
    returned = dict.fromkeys(tasks, JobReturn(status=JobStatus.COMPLETED))
    while left:
        done, left = ray.wait(left, timeout=seconds)
        if not done:
            break
        (task,) = done
        try:
            returned[task] = ray.get(task)
            how = told(sweep.recorded()[tasks[task]])
        except ray.exceptions.RayError as error:
            how = one_line(type(error).__name__)
        number = tasks[task]
        tell(f"cell {number + 1} ({cells.get(number, 'of a search')}): {how}")
    return list(returned.values())


def from_folder(folder: str, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A cell's function as if called from here: Ray's workers stand where their Ray was started."""

    def cell(config: Any) -> Any:
        os.chdir(folder)
        return function(config)

    return cell
