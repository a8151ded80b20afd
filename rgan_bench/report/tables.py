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
        kind: table1, table2, table3, sweep, or auto: see `choose_tables`. After the last two comes, of runs with an
            averaged generator, a sweep of its scores; all other tables are of the generators that are trained.

    Returns:
        Nothing where no run belongs to the table.
    """
    averaged = [run.of("ema") for run in runs if run.averaged]
    runs = [run.of("raw") if run.averaged else run for run in runs]
    if kind == "auto":
        tables = choose_tables(runs)
    elif kind == "sweep":
        tables = [sweep_table(runs)]
    else:
        tables = paper_table([run for run in runs if belongs(run, kind)], kind) if any_of(runs, kind) else []
        for table in tables[-1:]:
            strangers = [run for run in runs if not belongs(run, kind)]
            table.notes += [left_out(run, "its settings are in no cell of this table") for run in strangers]
    if kind in ("auto", "sweep") and any(run.scores or run.others for run in averaged):
        tables.append(sweep_table(averaged))
        tables[-1].notes.insert(0, "scores of averaged generators (ema.half_life); those that were trained are above")
    for table in tables:
        table.notes += [f"{run.title}: {trouble}" for run in table.runs for trouble in run.troubles()]
    return tables


def belongs(run: Run, name: str) -> bool:
    return run.cell is not None and run.cell[0] == name


def any_of(runs: list[Run], name: str) -> bool:
    return any(belongs(run, name) for run in runs)


def choose_tables(runs: list[Run]) -> list[Table]:
    """The tables of the paper that runs belong to, and the rest as a sweep; or all runs as one sweep.

    One sweep, if it shows at least as many runs that the paper's tables leave out as these have runs: a sweep over
    learning rates or widths passes through a cell of the paper, and is no part of its table. Every run with a score is
    in one of the tables, or named in one with the reason.
    """
    tables = [
        table
        for name in PAPER_TABLES
        if any_of(runs, name)
        for table in paper_table([run for run in runs if belongs(run, name)], name)
    ]
    sweep = sweep_table(runs)
    placed = {run.same_run_key for table in tables for run in table.runs}
    missed = [run for run in sweep.runs if run.same_run_key not in placed]
    if not tables or len(missed) >= len(placed):
        if tables:
            names = " and ".join(dict.fromkeys(run.cell[0] for run in runs if run.cell is not None))
            sweep.notes.insert(0, f"some of these runs are also cells of the paper's {names}; --table shows them there")
        return [sweep]
    others = [run for run in runs if run.same_run_key not in placed]
    scored = [run for run in others if run.scores or run.others]
    if scored:
        rest = sweep_table(others)
        rest.notes.insert(0, "these runs are not in the paper's tables above")
        return [*tables, rest]
    tables[-1].notes += [left_out(run, "has no score") for run in others if run.cell is None]
    return tables
