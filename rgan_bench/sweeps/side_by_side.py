"""Cells side by side in processes of joblib's: how many threads each has, and how all of them stop together.

Ctrl-C in a terminal reaches every process. `kill`, a service manager or a batch system may tell the first alone, and if
that one dies it leaves others behind, which would train on for nobody, and then wait for ever to hand over what became
of their cells.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from hydra.core.utils import JobReturn

from rgan_bench.console import say
from rgan_bench.run.stops import StopSignals
from rgan_bench.sweeps.outcomes import Sweep

SECONDS = 0.5  # between looks of a cell at its sweep
PARENT = "RGAN_BENCH_SWEEP"  # environment variable of a sweep's processes: the one that waits for its cells


def launch(launcher: Any, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
    """What takes the place of `launch` in joblib's launcher: the same, with no more processes than cells, since joblib
    has each process compute with its share of the cores, unless OMP_NUM_THREADS is set; and a stop is one of all."""
    import joblib  # installed where this launcher is
    from hydra_plugins.hydra_joblib_launcher import _core

    if "OMP_NUM_THREADS" in os.environ:  # PyTorch asks MKL, which joblib would give its share of the cores all the same
        os.environ.setdefault("MKL_NUM_THREADS", os.environ["OMP_NUM_THREADS"].split(",")[0])
    settings = launcher.joblib
    settings["n_jobs"] = min(joblib.effective_n_jobs(settings["n_jobs"]), len(job_overrides))
    os.environ[PARENT] = str(os.getpid())  # which the processes of cells inherit
    try:
        with first_stop_is_all_cells(Sweep(Path(str(launcher.config.hydra.sweep.dir)))):
            returned: list[JobReturn] = _core.launch(launcher, job_overrides, initial_job_idx)
    finally:
        del os.environ[PARENT]
    return returned


@contextlib.contextmanager
def first_stop_is_all_cells(sweep: Sweep) -> Iterator[None]:
    """In the process that waits for the cells: the first signal is left in the sweep's folder, where each looks;
    a second acts as before."""
    previous: dict[int, Any] = {}

    def stop(number: int, frame: FrameType | None) -> None:
        for each, handler in previous.items():
            signal.signal(each, handler)
        sweep.stopped.touch()
        say("rgan-train: stopping: each cell saves first; a second Ctrl-C leaves at once")

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
            previous[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)


@contextlib.contextmanager
def as_one_of_several(sweep: Sweep) -> Iterator[None]:
    """Within the `with` block, a cell in a process of joblib's is stopped, as by a signal, once its sweep is, or the
    process that waits for it has gone."""
    if parent() is None:
        yield
        return
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(SECONDS):
            # Before a run listens the signal would end it; and one that has heard a signal lets this one pass.
            if (is_orphaned() or sweep.stopped.exists()) and StopSignals.listens_to(signal.SIGUSR1):
                os.kill(os.getpid(), signal.SIGUSR1)
                return

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def leave_if_orphaned(exit_status: int) -> None:
    """Ends a process of joblib's whose parent has gone: it would wait for ever to hand its cell's outcome over."""
    if is_orphaned():
        os._exit(exit_status)


def is_orphaned() -> bool:
    return parent() not in (None, os.getppid())


def parent() -> int | None:
    """The process that started this one for cells; None: it is no process of joblib's."""
    told = os.environ.get(PARENT)
    return int(told) if told and int(told) != os.getpid() else None
