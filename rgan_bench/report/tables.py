"""Runs → tables: those of the paper, or a sweep."""

from rgan_bench.report.cells import Table
from rgan_bench.report.paper import paper_table
from rgan_bench.report.protocols import left_out
from rgan_bench.report.runs import Run
from rgan_bench.report.sweeps import sweep_table

PAPER_TABLES = ("table1", "table2", "table3")


def make_tables(runs: list[Run], kind: str) -> list[Table]:
    """
    Args:
        kind: table1, table2, table3, sweep, or auto: those tables of the paper that any run belongs to, else sweep.
    """
    tables = [sweep_table(runs)] if kind == "sweep" else paper_tables(runs, kind)
    for table in tables:
        table.notes += [f"{run.title}: {trouble}" for run in table.runs for trouble in run.troubles()]
    return tables


def paper_tables(runs: list[Run], kind: str) -> list[Table]:
    """The tables of the paper that any run belongs to; with kind auto, where there is none, all runs as a sweep."""
    names = PAPER_TABLES if kind == "auto" else (kind,)
    members = {name: [run for run in runs if run.cell is not None and run.cell[0] == name] for name in names}
    tables = [table for name, mine in members.items() if mine for table in paper_table(mine, name)]
    if not tables:
        return [sweep_table(runs)] if kind == "auto" else []
    strangers = [run for run in runs if run.cell is None or not members.get(run.cell[0])]
    tables[-1].notes += [left_out(run, "its settings are in no cell of this table") for run in strangers]
    return tables
