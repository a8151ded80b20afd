"""Runs → tables: those of the paper, or a sweep; for each score."""

from collections.abc import Sequence

from rgan_bench.report.cells import Table
from rgan_bench.report.paper import paper_table
from rgan_bench.report.protocols import has_score, left_out, score_names
from rgan_bench.report.runs import Run
from rgan_bench.report.search import search_table
from rgan_bench.report.sweeps import sweep_table

PAPER_TABLES = ("table1", "table2", "table3")


def make_tables(runs: list[Run], kind: str, scores: Sequence[str] = ()) -> list[Table]:
    """
    Args:
        kind: table1, table2, table3, search, sweep, or auto: see `choose_tables`. After the last two comes, of runs
            with an averaged generator, a sweep of its scores; all other tables are of the generators that are trained.
        scores: names of those that are wanted, in this order; none: all that the runs have, the main one first.

    Returns:
        Nothing where no run belongs to the table.
    """
    averaged = [run.of("ema") for run in runs if run.averaged]
    runs = [run.of("raw") if run.averaged else run for run in runs]
    tables = []
    for score, mine in by_score([run for run in runs if kind not in PAPER_TABLES or belongs(run, kind)], scores):
        tables += tables_of(mine, kind, score)
    if kind in PAPER_TABLES and tables:
        strangers = [run for run in runs if not belongs(run, kind)]
        tables[-1].notes += [left_out(run, "its settings are in no cell of this table") for run in strangers]
    if kind in ("auto", "sweep") and any(run.scores or run.others for run in averaged):
        for score, mine in by_score(averaged, scores):
            tables.append(sweep_table(mine, score) if kind == "sweep" else any_table(mine, score))
            note = "scores of averaged generators (ema.half_life); those that were trained are above"
            tables[-1].notes.insert(0, note)
    for table in tables:
        table.notes += [f"{run.title}: {trouble}" for run in table.runs for trouble in run.troubles()]
    return tables


def by_score(runs: list[Run], wanted: Sequence[str]) -> list[tuple[str, list[Run]]]:
    """Score → the runs of its tables: all for the first, where those without it are named, then those that have it."""
    names = score_names(runs)
    chosen = [name for name in dict.fromkeys(wanted) if name in names] if wanted else names
    if not names and runs:
        return [("", runs)]  # a table that says so
    return [(score, runs if score == chosen[0] else [run for run in runs if has_score(run, score)]) for score in chosen]


def tables_of(runs: list[Run], kind: str, score: str) -> list[Table]:
    if kind == "auto":
        return choose_tables(runs, score)
    if kind == "search":
        found = search_table(runs, score, wanted=True)
        return [found] if found else []
    return [sweep_table(runs, score)] if kind == "sweep" else paper_table(runs, kind, score)


def any_table(runs: list[Run], score: str) -> Table:
    """As a search where values look drawn, else as a sweep."""
    return search_table(runs, score) or sweep_table(runs, score)


def belongs(run: Run, name: str) -> bool:
    return run.cell is not None and run.cell[0] == name


def choose_tables(runs: list[Run], score: str) -> list[Table]:
    """The tables of the paper that runs belong to, and the rest as a sweep; or all runs as one sweep, or one search.

    One sweep, if it shows at least as many runs that the paper's tables leave out as these have runs: a sweep over
    learning rates or widths passes through a cell of the paper, and is no part of its table. Every run with the score
    is in one of the tables, or named in one with the reason.
    """
    tables = [
        table
        for name in PAPER_TABLES
        if any(belongs(run, name) and has_score(run, score) for run in runs)
        for table in paper_table([run for run in runs if belongs(run, name)], name, score)
    ]
    sweep = any_table(runs, score)
    placed = {run.same_run_key for table in tables for run in table.runs}
    missed = [run for run in sweep.runs if run.same_run_key not in placed]
    if not tables or len(missed) >= len(placed):
        if tables:
            names = " and ".join(dict.fromkeys(run.cell[0] for run in runs if run.cell is not None))
            sweep.notes.insert(0, f"some of these runs are also cells of the paper's {names}; --table shows them there")
        return [sweep]
    others = [run for run in runs if run.same_run_key not in placed]
    if any(has_score(run, score) for run in others):
        rest = any_table(others, score)
        rest.notes.insert(0, "these runs are not in the paper's tables above")
        return [*tables, rest]
    tables[-1].notes += [left_out(run, "has no score") for run in others if run.cell is None]
    return tables
