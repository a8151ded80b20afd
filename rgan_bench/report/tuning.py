"""Each loss at its own best learning rate, or at the best value of whatever number was swept across."""

from dataclasses import dataclass
from typing import Any

from rgan_bench.report.cells import Cell, Column, Table, finish
from rgan_bench.report.sweeps import is_number


@dataclass(frozen=True)
class Neighbour:
    """The next value that was tried.

    Attributes:
        fall: by how much its mean is worse than at the best value, in the score's unit; None: seeds have no value.
    """

    value: float
    cell: Cell
    fall: float | None


@dataclass(frozen=True)
class TunedRow:
    """
    Attributes:
        value: of the swept key, at which the mean is best, among the values where every seed has one.
        below, above: None: nothing was tried there, so the true best may lie beyond.
        missing: values at which a seed has no value.
    """

    row: str
    value: float
    cell: Cell
    below: Neighbour | None
    above: Neighbour | None
    missing: list[float]


@dataclass(frozen=True)
class Tuned:
    """Rows compared each at its own best value of a key.

    Attributes:
        key: that was swept.
        others: what else is set: key → value.
        rows: best first.
        column: the cells at the best values and their tests. The seeds that chose are also those that are compared, so
            that the means are somewhat too good.
    """

    key: str
    others: dict[str, Any]
    rows: list[TunedRow]
    column: Column

    @property
    def title(self) -> str:
        return self.column.title


def tuned_rows(table: Table) -> list[Tuned]:
    """For each key with several numbers across, and each choice of the other keys, the rows at their best values."""
    keys = list(table.columns[0].settings) if table.columns else []
    found = []
    for key in keys:
        if not all(is_number(column.settings[key]) for column in table.columns):
            continue
        groups: dict[str, list[Column]] = {}
        for column in table.columns:
            groups.setdefault(str(others_of(column, key)), []).append(column)
        found += [tuned for columns in groups.values() if len(columns) > 1 and (tuned := tune(table, key, columns))]
    return found


def others_of(column: Column, key: str) -> dict[str, Any]:
    return {name: value for name, value in column.settings.items() if name != key}


def tune(table: Table, key: str, columns: list[Column]) -> Tuned | None:
    """None where fewer than two rows have been tried at several values."""
    columns = sorted(columns, key=lambda column: float(column.settings[key]))
    others, sign = others_of(columns[0], key), -1 if columns[0].higher else 1
    rows = [found for row in table.rows if (found := tune_row(row, key, columns, sign))]
    if len(rows) < 2:
        return None
    rows.sort(key=lambda found: sign * (found.cell.mean or 0))
    rest = "".join(f", {name}={value}" for name, value in others.items())
    cells = {found.row: Cell(found.cell.seeds) for found in rows}
    column = Column(f"each at its best {key}{rest}", cells, {}, columns[0].spread)
    finish([column], table.protocol)
    return Tuned(key, others, rows, column)


def tune_row(row: str, key: str, columns: list[Column], sign: int) -> TunedRow | None:
    tried = [(float(column.settings[key]), column.cells[row]) for column in columns if column.cells[row].seeds]
    whole = [index for index, (_, cell) in enumerate(tried) if not cell.incomplete]
    if len(tried) < 2 or not whole:
        return None
    best = min(whole, key=lambda index: sign * (tried[index][1].mean or 0))
    value, cell = tried[best]

    def neighbour(index: int) -> Neighbour | None:
        if not 0 <= index < len(tried):
            return None
        there, other = tried[index]
        fall = None if other.incomplete else sign * ((other.mean or 0) - (cell.mean or 0))
        return Neighbour(there, other, fall)

    missing = [each for each, other in tried if other.incomplete]
    return TunedRow(row, value, cell, neighbour(best - 1), neighbour(best + 1), missing)
