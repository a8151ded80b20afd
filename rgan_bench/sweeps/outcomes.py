"""Where a sweep stands, and what became of its cells. What they have to tell each other lies in files in its folder."""

import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rgan_bench.console import duration, score_label
from rgan_bench.files import write_text_atomically

GOOD = ("finished", "already finished")
STOPPED = "the sweep was stopped"


@dataclass(frozen=True)
class Outcome:
    """What became of one cell.

    Attributes:
        status: finished, already finished, interrupted, diverged, not scored, failed, refused, running elsewhere,
            not started, killed; while it runs, running.
        reason: of what is not good, for people.
        exit_status: that a single run with this outcome has.
    """

    status: str
    folder: str = ""
    iteration: int | None = None
    scores: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    exit_status: int = 0
    number: int = 0
    overrides: str = ""


class Sweep:
    """The folder of one sweep. One that an earlier sweep left (a fixed hydra.sweep.dir) begins anew."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan = folder / "cells.json"
        self.jobs = folder / "jobs.json"  # on a cluster
        self.stopped = folder / "stopped"
        self.lock = folder / ".lock"

    def start(self, cells: list[str], folders: list[str], fixed: list[str] | None = None) -> None:
        """
        Args:
            cells: the overrides of each.
            folders: the run folder of each; empty where its config is refused.
            fixed: of a search, whose cells come later, the overrides that all of them have.
        """
        for path in (self.stopped, *self.folder.glob("cell_*.json")):
            path.unlink(missing_ok=True)
        plan = {"started": time.time(), "cells": cells, "folders": folders}
        self._write(plan if fixed is None else {**plan, "fixed": fixed, "total": None})

    def extend(self, cells: list[str], total: int) -> None:
        """The next cells of a search that will have so many in all."""
        plan = self.read()
        self._write({**plan, "cells": [*plan["cells"], *cells], "total": total})

    def read(self) -> dict[str, Any]:
        plan: dict[str, Any] = json.loads(self.plan.read_text())
        return plan

    def _write(self, plan: dict[str, Any]) -> None:
        write_text_atomically(self.plan, json.dumps(plan, indent=2) + "\n")

    def cells(self) -> list[str]:
        cells: list[str] = self.read()["cells"]
        return cells

    def told(self, number: int, overrides: Sequence[str]) -> str:
        """What a cell differs in. A sweeper that is none of ours tells of its cells only when their turn comes.

        Args:
            overrides: all that it has.
        """
        plan = self.read()
        if number < len(plan["cells"]):
            return str(plan["cells"][number])
        return " ".join(each for each in overrides if each not in plan.get("fixed", ())) or "(one cell)"

    def folders(self) -> list[str]:
        folders: list[str] = self.read()["folders"]
        return folders

    def shares_its_run(self, number: int) -> bool:
        """Whether another cell trains the same run (and scores it otherwise): then one waits for the other. In a search
        that cannot be known beforehand, and a trial waits for its run too."""
        folders = self.folders()
        return number >= len(folders) or folders.count(folders[number]) > 1

    def begin(self, number: int, cell: str) -> None:
        """From now on, the cell is one that was killed, if it leaves no outcome."""
        folder = dict(enumerate(self.folders())).get(number, "")
        self.record(Outcome("running", folder, number=number, overrides=cell))

    def record(self, outcome: Outcome, *, lasting: bool = True) -> None:
        """
        Args:
            lasting: as `write_atomically` has it.
        """
        path = self.folder / f"cell_{outcome.number:04d}.json"
        write_text_atomically(path, json.dumps(asdict(outcome), indent=2) + "\n", lasting=lasting)

    def recorded(self) -> dict[int, Outcome]:
        found = {}
        for path in self.folder.glob("cell_*.json"):
            with contextlib.suppress(ValueError):  # empty, after a power cut
                outcome = Outcome(**json.loads(path.read_text()))
                found[outcome.number] = outcome
        return found

    def outcomes(self) -> list[Outcome]:
        """Of all cells, in order, once none runs any more; those that did not come so far are not started."""
        known = self.recorded()
        for number, overrides in enumerate(self.cells()):
            if number not in known:
                reason = "the sweep ended before"
                known[number] = Outcome("not started", reason=reason, number=number, overrides=overrides)
        for number, outcome in known.items():
            if outcome.status == "running":
                reason = "its process ended without a word; the same command goes on"
                known[number] = replace(outcome, status="killed", reason=reason)
        return [known[number] for number in sorted(known)]

    def where_it_stands(self, number: int, overrides: Sequence[str]) -> str:
        """ "cell 3 of 20 (about 12 min left): loss=sgan optim.lr=1e-4"; of a search "trial 3 of 20", or "trial 3" where
        nobody knows how many there will be."""
        return place_of(number, self.read(), self.told(number, overrides), *self.counts())

    def counts(self) -> tuple[int, int]:
        """How many cells have ended, and how many of them had something to do."""
        ended = [outcome for outcome in self.recorded().values() if outcome.status != "running"]
        return len(ended), sum(outcome.status != "already finished" for outcome in ended)


def place_of(number: int, plan: dict[str, Any], cell: str, ended: int, ran: int) -> str:
    """
    Args:
        plan: of the sweep.
        cell: what it differs in.
        ended, ran: as `Sweep.counts` has them.
    """
    kind, total = ("trial", plan["total"]) if "fixed" in plan else ("cell", len(plan["cells"]))
    if total is None:
        return f"{kind} {number + 1}: {cell}"
    left = ""
    if ran:
        seconds = (time.time() - plan["started"]) / ran * (total - ended)
        left = f" (about {duration(seconds)} left)"
    return f"{kind} {number + 1} of {total}{left}: {cell}"


def outcome_of(result: dict[str, Any], folder: Path, status: str | None = None, **more: Any) -> Outcome:
    """From the content of result.json."""
    scores = {
        score_label(name, result["protocol"][name]): score["final"]["value"] for name, score in result["scores"].items()
    }
    return Outcome(status or result["status"], str(folder), result["iteration"], scores, **more)


def told(outcome: Outcome) -> str:
    """ "finished, fd_pixels 1.052", "diverged (at iteration 12: …)"."""
    scores = "".join(f", {name} {value:.4g}" for name, value in outcome.scores.items())
    return outcome.status + (scores if not outcome.reason else f" ({outcome.reason})")


def print_sweep(outcomes: list[Outcome]) -> None:
    """The table of all cells at the end of a sweep, and the list of those that are not finished."""
    if not outcomes:
        print("there was nothing left to run")
        return
    names = list(dict.fromkeys(name for outcome in outcomes for name in outcome.scores))
    rows = [("cell", "status", "iteration", *names, "run folder")]
    for outcome in outcomes:
        scores = [f"{outcome.scores[name]:.4g}" if name in outcome.scores else "" for name in names]
        iteration = "" if outcome.iteration is None else f"{outcome.iteration:,}"
        rows.append((outcome.overrides, outcome.status, iteration, *scores, outcome.folder))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    unfinished = [outcome for outcome in outcomes if outcome.status not in GOOD]
    print(f"{len(outcomes) - len(unfinished)} of {len(outcomes)} cells are finished")
    for outcome in unfinished:
        print(f"  not finished: {outcome.overrides}: {outcome.status}" + f" ({outcome.reason})" * bool(outcome.reason))


def exit_status(outcomes: list[Outcome]) -> int:
    """0 where every cell is finished, that of an interrupt if there was one, else 1."""
    interrupts = [outcome.exit_status for outcome in outcomes if outcome.status == "interrupted"]
    return max(interrupts) if interrupts else int(any(outcome.status not in GOOD for outcome in outcomes))
