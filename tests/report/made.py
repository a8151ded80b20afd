"""Tables made without files."""

from collections.abc import Sequence
from pathlib import Path

from rgan_bench.report.cells import Cell, Column, Seed, Table, finish
from rgan_bench.report.runs import Run

Values = Sequence[float | str | None]


def made_run(name: str, seed: int) -> Run:
    config = {"seed": seed, "train": {"iterations": 100_000}}
    return Run(Path(f"{name}_{seed}"), f"{name}_{seed}", "finished", 100_000, config, {})


def made_cell(name: str, values: Values, first: int = 1) -> Cell:
    """Seeds count up from the first; a text is why a seed has no value."""
    seeds = []
    for seed, value in enumerate(values, first):
        number, state = (None, value) if isinstance(value, str) else (value, None)
        seeds.append(Seed(made_run(name, seed), number, state))
    return Cell(seeds)


def made_table(
    columns: dict[str, dict[str, Values | Cell]],
    metric: str = "frechet",
    name: str = "sweep",
    key: str = "",
    down: str = "loss",
) -> Table:
    """
    Args:
        columns: title → row → its values, or its cell.
        key: whose numbers the titles are.
    """
    rows = list(dict.fromkeys(row for cells in columns.values() for row in cells))
    protocol = {"metric": metric, "rank_deficient": False}
    score = "fid" if metric == "frechet" else metric
    made = []
    for title, cells in columns.items():
        whole = {row: cells.get(row, Cell()) for row in rows}
        whole = {
            row: cell if isinstance(cell, Cell) else made_cell(f"{title}_{row}", cell) for row, cell in whole.items()
        }
        made.append(Column(f"{key}={title}" if key else title, whole, {key: float(title)} if key else {}))
    notes = finish(made, protocol)
    return Table(name, "a table", score, rows, made, False, protocol, notes, down)
