"""What it took a run to reach a score: iterations, steps of the discriminator, images, seconds of training."""

from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from rgan_bench.report.cells import Cell, Column, Table
from rgan_bench.report.runs import Run
from rgan_bench.scoring.protocol import HIGHER_IS_BETTER


@dataclass(frozen=True)
class Effort:
    """
    Attributes:
        images: real ones that the discriminator had seen.
        seconds: of training; None: not known, as of scores by earlier versions.
    """

    iterations: int
    discriminator_steps: int
    images: int
    seconds: float | None


@dataclass(frozen=True)
class Reached:
    """
    Attributes:
        seeds: of the runs that have a history.
        efforts: of those that reached it.
    """

    row: str
    seeds: int
    efforts: list[Effort]

    def typical(self, of: str) -> float | None:
        """The median over all seeds of one of Effort's fields, one that did not reach it counting as later than any
        other; None where that is the median, or where it is not known."""
        values: list[float | None] = [getattr(effort, of) for effort in self.efforts]
        known = [value for value in values if value is not None]
        if not self.seeds or len(known) < len(values):
            return None
        middle = median([*known, *[float("inf")] * (self.seeds - len(known))])
        return middle if middle < float("inf") else None


@dataclass(frozen=True)
class Threshold:
    """
    Attributes:
        column: title of the setting.
        value: of the score.
        rule: by which it was chosen, for people.
    """

    column: str
    value: float
    rule: str
    rows: list[Reached]


def effort_at(run: Run, iteration: int) -> Effort:
    config = run.config
    steps = iteration * config["optim"]["n_d"]
    images = steps * config["train"]["batch_size"] * config["arch"]["pac"]
    return Effort(iteration, steps, images, run.seconds.get(iteration))


def effort_to(run: Run, score: str, value: float, higher_is_better: bool) -> Effort | None:
    """At the first of a run's scores that is as good; None where none is.

    A run is scored now and then: it may have been as good before, by at most the distance between two scores.
    """
    history = run.scores[score].history if score in run.scores else []
    good = (at for at, found in history if (found >= value if higher_is_better else found <= value))
    first = next(good, None)
    return None if first is None else effort_at(run, first)


def thresholds(table: Table) -> list[Threshold]:
    """Two for each setting, by rule and not by eye: the final mean of its worst loss, which nearly all reach, and that
    of its median loss. Only losses of which every seed has a value count; with fewer than two there are none.
    """
    if not table.protocol or table.name.startswith("table3"):  # whose columns are no final scores
        return []
    higher = table.protocol["metric"] in HIGHER_IS_BETTER
    found = []
    for column in table.columns:
        means = sorted((fmean(cell.values) for cell in whole(column)), reverse=higher)  # from good to bad
        if len(means) < 2:
            continue
        chosen = {means[-1]: "the final mean of the worst loss", means[len(means) // 2]: "that of the median loss"}
        found += [Threshold(column.title, value, rule, reached(column, table, value)) for value, rule in chosen.items()]
    return found


def whole(column: Column) -> list[Cell]:
    return [cell for cell in column.cells.values() if cell.values and not cell.incomplete]


def reached(column: Column, table: Table, value: float) -> list[Reached]:
    higher = table.protocol["metric"] in HIGHER_IS_BETTER
    rows = []
    for row, cell in column.cells.items():
        if cell.runs:
            efforts = [effort_to(run, table.score, value, higher) for run in cell.runs]
            rows.append(Reached(row, len(efforts), [effort for effort in efforts if effort is not None]))
    return rows


def as_data(threshold: Threshold) -> dict[str, Any]:
    """For JSON."""
    fields = ("iterations", "discriminator_steps", "images", "seconds")
    rows = [
        {
            "row": row.row,
            "seeds": row.seeds,
            "reached": len(row.efforts),
            **{name: row.typical(name) for name in fields},
        }
        for row in threshold.rows
    ]
    return {"column": threshold.column, "value": threshold.value, "rule": threshold.rule, "rows": rows}
