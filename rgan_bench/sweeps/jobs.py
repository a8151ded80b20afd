"""Cells as jobs of submitit, on Slurm or on this machine: sent off, followed to their ends, and found again.

The plugin's own way gives up on all of them when one is killed, says nothing while it waits, and takes a job that was
requeued for one that has ended.
"""

import contextlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus

from rgan_bench.console import tell
from rgan_bench.errors import UserError, one_line
from rgan_bench.files import write_text_atomically
from rgan_bench.run.folder import RunFolder
from rgan_bench.run.stops import interrupts_raise
from rgan_bench.sweeps import slurm
from rgan_bench.sweeps.outcomes import Outcome, Sweep, told

SOONEST, LATEST = 1.0, 30.0  # seconds between looks at the jobs: rare for a controller that many ask
SUMMARY_EVERY = 60.0  # seconds
FILES_TAKE = 20.0  # seconds, on a shared file system, until what a job wrote last is seen here


@dataclass(frozen=True)
class Job:
    """A cell's job.

    Attributes:
        number: of the cell in our sweep.
        overrides: all of the cell's; with `run`, its run folder, they say whether another sweep means the same.
        sweep: the folder of the sweep that sent it off, and so of its log; `place` is the cell's number there.
    """

    number: int
    id: str
    overrides: list[str]
    run: str
    sweep: str
    place: int

    def script_is(self, script: str) -> bool:
        """Whether it is this job that runs it: another controller may give the same numbers."""
        return script.startswith(f"{Path(self.sweep) / '.submitit'}/")


States = Callable[[], dict[str, str] | None]  # of jobs that have not ended, by number; None: not known now


def launch(launcher: Any, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
    """What takes the place of `launch` in the plugin's launchers.

    Raises:
        UserError: the jobs cannot be sent off.
        SystemExit: Ctrl-C; the jobs run on.
    """
    sweep = Sweep(Path(launcher.config.hydra.sweep.dir).absolute())
    on_slurm = launcher._EXECUTOR == "slurm"
    cells = {initial_job_idx + place: list(overrides) for place, overrides in enumerate(job_overrides)}
    jobs = find(sweep, cells) if on_slurm else []
    if jobs:
        tell(f"sent off before, and not ended: {shown(jobs)} ({len(jobs)})")
    sent: dict[int, Any] = {}
    missing = {number: cells[number] for number in cells.keys() - {job.number for job in jobs}}
    if missing:
        sent = send(launcher, missing)
        runs = run_folders(sweep)
        new = [
            Job(number, submitted.job_id, cells[number], runs.get(number, ""), str(sweep.folder), number)
            for number, submitted in sent.items()
        ]
        jobs = sorted([*jobs, *new], key=lambda job: job.number)
        tell(f"on {'Slurm' if on_slurm else 'this machine'}: {shown(new)} ({len(new)}); logs: {sweep.folder}/.submitit")
    remember(sweep, jobs)

    def local() -> dict[str, str]:
        return {submitted.job_id: "RUNNING" for submitted in sent.values() if not submitted.done()}

    interrupts_raise()
    try:
        follow(sweep, jobs, queued if on_slurm else local, on_slurm=on_slurm)
    except KeyboardInterrupt:
        numbers = " ".join(dict.fromkeys(job.id.split("_")[0] for job in jobs))
        watch, cancel = ("squeue --me", f"scancel {numbers}") if on_slurm else ("ps", f"kill {numbers}")
        again = "; the same command follows them again" if on_slurm else ""
        tell(f"stopped following; the jobs run on. Watch them: {watch}, rgan-runs. End them: {cancel}{again}")
        raise SystemExit(130) from None
    return [returned(sent.get(number)) for number in cells]


def send(launcher: Any, cells: dict[int, list[str]]) -> dict[int, Any]:
    """Submitit's job of each cell, by number.

    Raises:
        UserError: they cannot be sent off.
    """
    import submitit  # installed where this launcher is

    kind, own = launcher._EXECUTOR, dict(launcher.params)
    settings = {"folder": own.pop("submitit_folder"), f"{kind}_max_num_timeout": own.pop("max_num_timeout", None)}
    for_all = ("timeout_min", "cpus_per_task", "gpus_per_node", "tasks_per_node", "mem_gb", "nodes", "name")
    named = {key if key in (*for_all, "stderr_to_stdout") else f"{kind}_{key}": value for key, value in own.items()}
    numbers = sorted(cells)
    state = Singleton.get_state()
    try:
        executor = submitit.AutoExecutor(
            cluster=kind, **{key: value for key, value in settings.items() if value is not None}
        )
        executor.update_parameters(**named)
        calls = [(cells[number], "hydra.sweep.dir", number, str(number), state) for number in numbers]
        return dict(zip(numbers, executor.map_array(launcher, *zip(*calls, strict=True)), strict=True))
    except (RuntimeError, ValueError, OSError) as error:
        raise UserError(
            f"hydra/launcher: the {len(cells)} jobs cannot be sent off ({one_line(error)}); set hydra.launcher.KEY=…: "
            "rgan-train --cfg hydra shows all of them"
        ) from error


def find(sweep: Sweep, cells: dict[int, list[str]]) -> list[Job]:
    """Of these cells' jobs those that an earlier sweep sent off, and that have not ended."""
    queue = slurm.queue()
    if not queue:
        return []
    runs = run_folders(sweep)
    known = [job for path in {sweep.jobs, *sweep.folder.parent.glob(f"*/{sweep.jobs.name}")} for job in read(path)]
    alive = {(job.run, *job.overrides): job for job in known if job.id in queue and job.script_is(queue[job.id].script)}
    found = [(number, alive.get((runs.get(number, ""), *overrides))) for number, overrides in cells.items()]
    return [replace(job, number=number) for number, job in found if job]


def run_folders(sweep: Sweep) -> dict[int, str]:
    """Of each cell; empty where its config is refused. A search knows none beforehand."""
    return {number: str(Path(folder).absolute()) if folder else "" for number, folder in enumerate(sweep.folders())}


def read(path: Path) -> list[Job]:
    with contextlib.suppress(OSError, ValueError, TypeError):  # none, or another version's
        return [Job(**each) for each in json.loads(path.read_text())]
    return []


def remember(sweep: Sweep, jobs: list[Job]) -> None:
    earlier = [job for job in read(sweep.jobs) if job.number not in {each.number for each in jobs}]  # of a batch before
    write_text_atomically(sweep.jobs, json.dumps([asdict(job) for job in (*earlier, *jobs)], indent=2) + "\n")


def queued() -> dict[str, str] | None:
    queue = slurm.queue()
    return None if queue is None else {number: job.state for number, job in queue.items()}


def follow(sweep: Sweep, jobs: list[Job], states: States, *, on_slurm: bool) -> None:
    """Until all have ended; tells what changes, and sees to it that each cell has its outcome in our sweep."""
    cells = dict(enumerate(sweep.cells()))
    before: dict[int, str] = {}
    gone: dict[int, float] = {}  # when it was first seen that the job has ended
    began = summary = time.monotonic()
    left = {job.number: job for job in jobs}
    while left:
        time.sleep(min(LATEST, SOONEST + (time.monotonic() - began) / 20))
        alive = states()
        if alive is None:
            continue
        now = {job.number: alive[job.id] for job in left.values() if job.id in alive}
        for job in list(left.values()):
            if job.number in now:
                gone.pop(job.number, None)
                continue
            outcome = outcome_of_job(job, cells.get(job.number, " ".join(job.overrides)), on_slurm)
            if on_slurm and outcome.status in ("killed", "not started", "interrupted"):
                since = gone.setdefault(job.number, time.monotonic())
                if time.monotonic() - since < FILES_TAKE or slurm.requeue_if_preempted(job.id):
                    continue
            sweep.record(outcome)
            now[job.number] = told(outcome)
            del left[job.number]
        for number, state in now.items():
            if before.get(number) != state:
                tell(f"cell {number + 1} (job {next(job.id for job in jobs if job.number == number)}): {state}")
        before |= now
        if time.monotonic() - summary >= SUMMARY_EVERY and left:
            summary = time.monotonic()
            tell(standing(left, before, len(jobs)))


def outcome_of_job(job: Job, cell: str, on_slurm: bool) -> Outcome:
    """As its cell recorded it; of one that could not, what Slurm knows."""
    outcome = Sweep(Path(job.sweep)).recorded().get(job.place)
    if outcome is None or outcome.status == "running":
        state = slurm.ended_as(job.id) if on_slurm else None
        how = f"job {job.id} ended" + f" as {state}" * (state is not None)
        outcome = Outcome(
            "killed" if outcome else "not started",
            folder=job.run,
            reason=f"{how}; its log: {job.sweep}/.submitit/{job.id}; the same command goes on",
        )
    return replace(outcome, number=job.number, overrides=cell)


def standing(left: dict[int, Job], states: dict[int, str], total: int) -> str:
    """ "5 of 8 jobs have ended; 2 running (cell 3 at iteration 400, cell 4 at iteration 900), 1 pending"."""
    kinds = dict.fromkeys(states.get(number, "unknown") for number in left)
    parts = []
    for kind in kinds:
        numbers = [number for number in left if states.get(number, "unknown") == kind]
        where = [f"cell {number + 1} at iteration {reached(left[number]):,}" for number in numbers[:10]]
        parts.append(f"{len(numbers)} {kind.lower()}" + (f" ({', '.join(where)})" if kind == "RUNNING" else ""))
    return f"{total - len(left)} of {total} jobs have ended; {', '.join(parts)}"


def reached(job: Job) -> int:
    lines = RunFolder(Path(job.run)).read_metrics()
    return lines[-1].get("iteration", 0) if lines else 0


def shown(jobs: list[Job]) -> str:
    """ "jobs 12_0, 12_1 … 12_7"."""
    ids = [job.id for job in jobs]
    return f"job{'s' * (len(ids) > 1)} " + (", ".join(ids) if len(ids) <= 4 else f"{ids[0]}, {ids[1]} … {ids[-1]}")


def returned(submitted: Any) -> JobReturn:
    """What Hydra's sweepers are given. A cell without a result raises nothing there: the sweep's table tells of it."""
    with contextlib.suppress(Exception):
        if submitted is not None and submitted.paths.result_pickle.exists():
            result: JobReturn = submitted.results()[0]
            return result
    return JobReturn(status=JobStatus.COMPLETED)
