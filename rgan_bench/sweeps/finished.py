"""Cells that are finished already: told and recorded at their turn, without a job of the launcher's."""

import os
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from rgan_bench.config.schema import Config
from rgan_bench.console import score_label, speak_as, tell
from rgan_bench.run.folder import RunFolder
from rgan_bench.run.outcome import print_outcome
from rgan_bench.run.standing import Answer, Signatures, answer
from rgan_bench.sweeps.launchers import is_basic
from rgan_bench.sweeps.outcomes import STOPPED, Outcome, Sweep, place_of

Cell = tuple[int, Sequence[str]]  # its number, its overrides


class Numbers(int):
    """The first cell's number, to which launchers add a cell's place among those that they get: the result is that
    cell's number, though others between them were passed over."""

    numbers: list[int]

    def __new__(cls, numbers: list[int]) -> "Numbers":
        self = super().__new__(cls, numbers[0])
        self.numbers = numbers
        return self

    def __add__(self, place: int) -> int:
        return self.numbers[place]


class PassingOver(Launcher):
    """Has another launcher launch the cells that are not finished, and does for the others what they would do there.

    Args:
        launcher: set up.
        config: of the sweep.
        cells: the config of each cell; None where it is refused.
    """

    def __init__(self, launcher: Launcher, config: DictConfig, cells: list[Config | None]) -> None:
        self.launcher, self.cells = launcher, cells
        self.alone = is_basic(str(config.hydra.launcher._target_))
        self.sweep = Sweep(Path(config.hydra.sweep.dir))

    def setup(self, **settings: Any) -> None:
        """The other one is set up."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        left = deque(enumerate(job_overrides, initial_job_idx))
        returned = {number: JobReturn(status=JobStatus.COMPLETED) for number, _ in left}
        while left:
            if self.sweep.stopped.exists():
                self.leave_out([number for number, _ in left])
                break
            cells = self.next_unfinished(left)
            if cells:
                jobs = self.launcher.launch([each for _, each in cells], Numbers([number for number, _ in cells]))
                returned |= {number: job for (number, _), job in zip(cells, jobs, strict=True)}
        return list(returned.values())

    def next_unfinished(self, left: deque[Cell]) -> list[Cell]:
        """Those that come next, which leave the queue together with finished ones before them, and, where cells run
        side by side, between them. Where they run one after another, the others are looked at when it is their turn."""
        plan = self.sweep.read()
        ended, ran = self.sweep.counts()
        signatures: Signatures = {}  # nobody trains in between, so that it is all one moment
        unfinished: list[Cell] = []
        while left:
            number, _ = left[0]
            found = self.look(number, signatures)
            if found and self.alone and unfinished:
                break
            if found:
                cell = plan["cells"][number]
                print(f"\n{place_of(number, plan, cell, ended, ran)}", flush=True)
                speak_as("" if self.alone else found[1].path.name)
                outcome = retell(*found, brief=True)
                speak_as("")
                self.sweep.record(replace(outcome, number=number, overrides=cell), lasting=False)
                ended += 1
            else:
                unfinished.append(left[0])
            left.popleft()
        return unfinished

    def look(self, number: int, signatures: Signatures) -> tuple[Answer, RunFolder] | None:
        config = self.cells[number]
        if config is None:
            return None
        folder = RunFolder.of(config)
        try:
            known = answer(folder, config, signatures)
            labelled(known.scores if known else {})
        except Exception:  # whatever it is, the cell itself fails by it, and says so
            return None
        return (known, folder) if known else None

    def leave_out(self, numbers: list[int]) -> None:
        cells = self.sweep.cells()
        for number in numbers:
            outcome = Outcome("not started", reason=STOPPED, number=number, overrides=cells[number])
            self.sweep.record(outcome, lasting=False)


def can_pass_over(config: DictConfig) -> bool:
    """Whether what this process finds of a cell is what its job would find."""
    job, launcher = config.hydra.job, str(config.hydra.launcher._target_)
    elsewhere = job.chdir or job.env_set or int(os.environ.get("WORLD_SIZE", "1")) > 1  # the last is refused there
    return not elsewhere and re.search(r"basic|joblib|submitit|\.Ray", launcher, re.IGNORECASE) is not None


def labelled(scores: dict[str, tuple[dict[str, Any], float]]) -> dict[str, float]:
    """
    Args:
        scores: as an answer has them.
    """
    return {score_label(name, protocol): value for name, (protocol, value) in scores.items()}


def retell(known: Answer, folder: RunFolder, *, brief: bool) -> Outcome:
    """Prints, and gives as an outcome, what a run answers already."""
    scores = labelled(known.scores)
    if known.stands_at > known.iteration:
        shown = "".join(f"; {name} {value:.4g} then" for name, value in scores.items())
        tell(f"{folder.path}: already past {known.iteration:,}, at {known.stands_at:,}{shown}")
    else:
        tell(f"{folder.path}: already finished at {known.iteration:,}; more train.iterations would train on")
        if not brief:
            print_outcome(known.result, folder)
    if known.unscored and not brief:
        missing = ", ".join(f"{iteration:,}" for iteration in known.unscored[:3]) + ", …" * (len(known.unscored) > 3)
        tell(
            f"fid.every: on the way it was not scored at {missing}, and will not be now; rgan-fid {folder.path} --all "
            "scores the checkpoints that are kept"
        )
    return Outcome("already finished", str(folder.path), known.iteration, scores)
