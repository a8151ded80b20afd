"""Sweeps: where they stand, and what became of their cells. Imports no torch.

Hydra expands a sweep and runs its cells, one after another or (hydra/launcher=joblib) side by side in other processes.
What the cells have to tell each other lies in files in the sweep's folder.
"""

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rgan_bench.config.validate import leaves, validate
from rgan_bench.console import score_label
from rgan_bench.errors import UserError, one_line, show
from rgan_bench.files import write_text_atomically
from rgan_bench.locks import Busy, held
from rgan_bench.runs.folder import RunFolder

GOOD = ("finished", "already finished")


@dataclass(frozen=True)
class Outcome:
    """What became of one cell.

    Attributes:
        status: finished, already finished, interrupted, diverged, not scored, failed, refused, running elsewhere,
            not started.
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
        self.stopped = folder / "stopped"
        self.lock = folder / ".lock"

    def start(self, cells: list[str], folders: list[str]) -> None:
        """
        Args:
            cells: the overrides of each.
            folders: the run folder of each; empty where its config is refused.
        """
        for path in (self.stopped, *self.folder.glob("cell_*.json")):
            path.unlink(missing_ok=True)
        plan = {"started": time.time(), "cells": cells, "folders": folders}
        write_text_atomically(self.plan, json.dumps(plan, indent=2) + "\n")

    def cells(self) -> list[str]:
        cells: list[str] = json.loads(self.plan.read_text())["cells"]
        return cells

    def shares_its_run(self, number: int) -> bool:
        """Whether another cell trains the same run (and scores it otherwise): then one waits for the other."""
        folders: list[str] = json.loads(self.plan.read_text())["folders"]
        return folders.count(folders[number]) > 1

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
        ran = sum(outcome.status != "already finished" for outcome in ended)
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
    holding: ClassVar = contextlib.ExitStack()  # of the class: instances travel to other processes

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Ends the process where the sweep cannot be run: Hydra turns exceptions of callbacks into warnings."""
        with contextlib.suppress(HydraException, OmegaConfBaseException):  # the sweeper comes to it, and says so
            try:
                self.begin(config)
            except UserError as error:
                raise SystemExit(show("rgan-train", error)) from error

    def begin(self, config: DictConfig) -> None:
        """
        Raises:
            UserError: two cells would train the same run; another sweep uses the folder, or it cannot be written.
        """
        sweep = Sweep(Path(config.hydra.sweep.dir))
        batch = expand(config)
        folders = plan_folders(config, batch)
        try:
            sweep.folder.mkdir(parents=True, exist_ok=True)
            self.holding.enter_context(held(sweep.lock))
            sweep.start([" ".join(what) or "(one cell)" for what in differences(config, batch)], folders)
        except Busy as error:
            raise UserError(
                f"hydra.sweep.dir={sweep.folder}: another sweep uses it ({error}); choose another"
            ) from None
        except OSError as error:
            raise UserError(
                f"hydra.sweep.dir={sweep.folder}: cannot be written ({one_line(error)}); choose another"
            ) from error
        type(self).on_start(sweep)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        self.holding.close()


def expand(config: DictConfig) -> list[list[str]]:
    """The overrides of each cell, as Hydra's sweeper will expand them."""
    (batch,) = BasicSweeper.split_arguments(_overrides(config), None)
    return [list(cell) for cell in batch]


def differences(config: DictConfig, batch: list[list[str]]) -> list[list[str]]:
    """Of each cell what it differs in: the rest is on the command line for all to see."""
    swept = {override.get_key_element() for override in _overrides(config) if override.is_sweep_override()}
    return [[each for each in cell if each.split("=")[0] in swept] for cell in batch]


def _overrides(config: DictConfig) -> list[Override]:
    parameters = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    hydra = GlobalHydra.instance()
    parser = OverridesParser.create(hydra.config_loader() if hydra.is_initialized() else None)  # which globs need
    return parser.parse_overrides([*parameters, *config.hydra.overrides.task])


def plan_folders(config: DictConfig, batch: list[list[str]]) -> list[str]:
    """The run folder of each cell; empty where its config is refused, which is told when its turn comes.

    Cells in one folder train one run. That is meant where they differ in scoring (`fid.*`): the run is trained once,
    and scored as each of them says.

    Raises:
        UserError: they differ in something else, or in nothing.
    """
    loader = GlobalHydra.instance().config_loader()
    planned: dict[str, tuple[int, dict[str, Any]]] = {}
    folders = []
    for number, overrides in enumerate(batch):
        try:
            composed = loader.load_sweep_config(config, overrides)
            keys: list[Any] = [key for key in composed if key != "hydra"]  # one that is no text is refused
            cell = validate(OmegaConf.masked_copy(composed, keys))
        except UserError:
            folders.append("")
            continue
        folder = str(RunFolder.of(cell).path)
        settings = {key: value for key, value in leaves(cell) if not key.startswith("fid.")}
        folders.append(folder)
        first, others = planned.setdefault(folder, (number, settings))
        same_scores = first != number and folders[first] == folder and batch[first] == overrides
        different = [f"{key}={others[key]} and {value}" for key, value in settings.items() if value != others[key]]
        if different or same_scores:
            raise UserError(
                f"cells {first + 1} and {number + 1} of the sweep ({', '.join(different) or 'equal'}) would train the "
                f"same run, {folder}: sweep what changes its weights (seed, loss, arch, data, optim, "
                "train.batch_size) or its scores (fid). For several lengths set the longest, and fid.every; for other "
                "settings run one sweep each, with output_root=PLACE"
            )
    # Hydra would compose every cell once more to see whether it can be: that takes as long again, and is done.
    BasicSweeper.validate_batch_is_legal = lambda self, batch: None  # type: ignore[method-assign]  # meant: see above
    return folders


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
