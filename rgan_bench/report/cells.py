"""Tables as data: rows, columns, and what stands in their cells. The formats are written elsewhere."""

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

from rgan_bench.report.runs import Run
from rgan_bench.report.significance import compare_pairs


@dataclass
class Cell:
    """One loss under one setting.

    Attributes:
        values: of the finished runs, one a seed.
        paper: what the paper printed; None: nothing, or nothing that may be compared.
        states: of the runs without a value: "diverged at 1,200".
        best: whether the mean is the lowest of the column.
    """

    runs: list[Run] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    paper: float | None = None
    states: list[str] = field(default_factory=list)
    best: bool = False

    @property
    def mean(self) -> float | None:
        return fmean(self.values) if self.values else None

    @property
    def sd(self) -> float | None:
        return stdev(self.values) if len(self.values) > 1 else None

    @property
    def difference(self) -> float | None:
        return None if self.mean is None or self.paper is None else self.mean - self.paper


@dataclass
class Column:
    title: str
    cells: dict[str, Cell]
    pairs: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Table:
    """Rows × columns.

    Attributes:
        score: the score's name.
        beside_paper: whether the paper's numbers stand beside ours.
        notes: for people: provenance, and what was left out and why.
    """

    name: str
    title: str
    score: str
    rows: list[str]
    columns: list[Column]
    beside_paper: bool
    protocol: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    @property
    def runs(self) -> list[Run]:
        found = {run.folder: run for column in self.columns for cell in column.cells.values() for run in cell.runs}
        return list(found.values())


def make_cell(runs: list[Run], value: Callable[[Run], float | None], printed: float | None) -> Cell:
    cell = Cell(runs=sorted(runs, key=lambda run: run.seed), paper=printed)
    for run in cell.runs:
        found = value(run)
        if found is not None:
            cell.values.append(found)
        else:
            cell.states.append(state_of(run))
    return cell


def state_of(run: Run) -> str:
    # With train.on_divergence=continue a run goes on after it diverged.
    since = run.diverged[0] if run.status == "diverged" and run.diverged else run.iteration
    at = f"at {since:,}"
    if run.status == "finished":
        return f"incomplete {at}"
    return f"{run.status} {at}" if run.status in ("diverged", "failed") else f"unfinished {at}"


def mark_best(column: Column) -> None:
    means = {row: cell.mean for row, cell in column.cells.items() if cell.mean is not None}
    if len(means) > 1:
        column.cells[min(means, key=means.__getitem__)].best = True


def finish(column: Column) -> Column:
    mark_best(column)
    column.pairs = compare_pairs({row: cell.values for row, cell in column.cells.items()})
    return column
