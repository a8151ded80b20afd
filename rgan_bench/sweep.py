"""Sweeps: where they stand, and what became of their cells. Imports no torch.

Hydra expands a sweep and runs its cells, one after another or (hydra/launcher=joblib) side by side in other processes.
What the cells have to tell each other lies in files in the sweep's folder.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from rgan_bench.console import score_label
from rgan_bench.files import write_text_atomically

GOOD = ("finished", "finished already")


@dataclass(frozen=True)
class Outcome:
    """What became of one cell.

    Attributes:
        status: finished, finished already, interrupted, diverged, failed, refused, running elsewhere, not started.
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
    """The folder of one sweep."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan = folder / "cells.json"
        self.stopped = folder / "stopped"

    def start(self, cells: list[str]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text_atomically(self.plan, json.dumps({"started": time.time(), "cells": cells}, indent=2) + "\n")

    def cells(self) -> list[str]:
        return json.loads(self.plan.read_text())["cells"]

    def record(self, outcome: Outcome) -> None:
        path = self.folder / f"cell_{outcome.number:04d}.json"
        write_text_atomically(path, json.dumps(asdict(outcome), indent=2) + "\n")

    def outcomes(self) -> list[Outcome]:
        """Of all cells, in order; those that did not come so far are not started."""
        found = [Outcome(**json.loads(path.read_text())) for path in sorted(self.folder.glob("cell_*.json"))]
        known = {outcome.number: outcome for outcome in found}
        missing = "the sweep ended before"
        return [
            known.get(number) or Outcome("not started", reason=missing, number=number, overrides=overrides)
            for number, overrides in enumerate(self.cells())
        ]

    def where_it_stands(self, number: int) -> str:
        """ "cell 3 of 20 (about 12 min left): loss=sgan optim.lr=1e-4"."""
        plan = json.loads(self.plan.read_text())
        ended = [Outcome(**json.loads(path.read_text())) for path in self.folder.glob("cell_*.json")]
        ran = sum(outcome.status != "finished already" for outcome in ended)
        left = ""
        if ran:
            seconds = (time.time() - plan["started"]) / ran * (len(plan["cells"]) - len(ended))
            left = f" (about {duration(seconds)} left)"
        return f"cell {number + 1} of {len(plan['cells'])}{left}: {plan['cells'][number]}"


class WatchSweep(Callback):
    """Hydra's callback: knows, before the first cell runs, which ones there will be.

    Attributes:
        on_start: is told the sweep.
    """

    on_start: Callable[[Sweep], None] = staticmethod(lambda sweep: None)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        sweep = Sweep(Path(config.hydra.sweep.dir))
        sweep.start(expand(config))
        type(self).on_start(sweep)


def expand(config: DictConfig) -> list[str]:
    """The overrides of each cell, as Hydra's sweeper will expand them."""
    parameters = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    overrides = OverridesParser.create().parse_overrides([*parameters, *config.hydra.overrides.task])
    (batch,) = BasicSweeper.split_arguments(overrides, None)
    swept = {o.get_key_element() for o in overrides if o.is_sweep_override()}
    # Only what the cells differ in: the rest is on the command line for all to see.
    return [" ".join(each for each in cell if each.split("=")[0] in swept) or "(one cell)" for cell in batch]


def outcome_of(result: dict[str, Any], folder: Path, status: str | None = None, **more: Any) -> Outcome:
    """From the content of result.json."""
    scores = {
        score_label(name, result["protocol"][name]): score["final"]["value"] for name, score in result["scores"].items()
    }
    return Outcome(status or result["status"], str(folder), result["iteration"], scores, **more)


def print_sweep(outcomes: list[Outcome]) -> None:
    """The table of all cells at the end of a sweep, and the list of those that are not finished."""
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


def duration(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
