"""A table of a search, whose trials have drawn settings: each cell shows a loss's best trial, and beside them stands
what equally many trials of each loss were to be expected to find (`budget.py`)."""

import itertools
from statistics import median
from typing import Any

from rgan_bench.config.combinations import shown
from rgan_bench.report.budget import Searched, SearchedRow, budgets, expected_best
from rgan_bench.report.cells import Cell, Column, Table, finish, make_cell, rank_note
from rgan_bench.report.protocols import Comparable, average_draws, choose_protocol
from rgan_bench.report.runs import Run
from rgan_bench.report.sweeps import column_title, flat, is_number, lay_out, rank, swept_keys
from rgan_bench.scoring.protocol import HIGHER_IS_BETTER

MANY = 8  # values of a key, fewer than which nobody calls a search

Trials = dict[tuple[Any, ...], list[Run]]  # values of the searched keys → the runs of all seeds


def searched_keys(settings: list[dict[str, Any]]) -> list[str]:
    """The keys whose values look drawn: many, and most with more digits than people or grids have."""
    found = []
    for key in swept_keys(settings):
        values = sorted({float(mine[key]) for mine in settings if is_number(mine.get(key))})
        drawn = sum(float(f"{value:.2g}") != value for value in values)
        if len(values) >= MANY and 2 * drawn > len(values) and not evenly_spaced(values):
            found.append(key)
    return found


def evenly_spaced(values: list[float]) -> bool:
    """Whether rising values are a grid, linear or logarithmic, rounded to three digits, perhaps with a few others."""
    steps = [b - a for a, b in itertools.pairwise(values)]
    ratios = [b / a for a, b in itertools.pairwise(values)] if values[0] > 0 else []
    return any(
        sum(abs(step / median(each) - 1) < 0.02 for step in each) > len(each) / 2 for each in (steps, ratios) if each
    )


def search_table(runs: list[Run], score: str, *, wanted: bool = False) -> Table | None:
    """None where nothing looks drawn.

    Args:
        wanted: a search even so: of the number of which there are most values.
    """
    chosen = average_draws(choose_protocol(runs, score, same_arch=False))
    told = {run.folder: flat(run) for run in chosen.runs}
    keys = swept_keys(list(told.values()))
    searched = searched_keys(list(told.values()))
    if not searched and wanted:
        counts = {key: len({mine.get(key) for mine in told.values() if is_number(mine.get(key))}) for key in keys}
        searched = [key for key, count in counts.items() if count > 1 and count == max(counts.values())][:1]
    if not searched:
        return None
    layout = lay_out(list(told.values()), without=searched)
    down = layout.down
    rows: dict[str, dict[str, Any]] = {}
    found: dict[str, dict[str, Trials]] = {}
    settings: dict[str, dict[str, Any]] = {}
    for run in chosen.runs:
        mine = told[run.folder]
        row, title = shown(mine.get(down)), column_title(mine, layout.across)
        rows[row], settings[title] = mine, {key: mine.get(key) for key in layout.across}
        trial = tuple(mine.get(key) for key in searched)
        found.setdefault(title, {}).setdefault(row, {}).setdefault(trial, []).append(run)
    in_order = sorted(rows, key=lambda row: rank(rows[row].get(down)))
    titles = sorted(settings, key=lambda title: [rank(value) for value in settings[title].values()])
    what = " and ".join(searched)
    columns, tables = [], []
    for title in titles:
        cells = {row: trial_cells(found[title].get(row, {}), score) for row in in_order}
        tables.append(searched_setting(title, searched, cells, chosen))
        best = {each.row: cells[each.row].get(each.values) or Cell() for each in tables[-1].rows}
        columns.append(Column(f"at the best {what}{', ' * bool(title)}{title}", best, settings[title]))
    notes = rank_note(score, chosen.protocol) + finish(columns, chosen.protocol) + chosen.notes
    notes.append("--table sweep shows every trial")
    title = f"{chosen.label} at {chosen.runs[0].iterations:,} iterations, by a search of {what}"
    own = layout.own_of(rows)
    return Table(
        "search", title, score, in_order, columns, False, chosen.protocol, notes, down, tables, chosen.runs, own
    )


def trial_cells(trials: Trials, score: str) -> dict[tuple[Any, ...], Cell]:
    return {values: make_cell(runs, lambda run: run.final(score)) for values, runs in trials.items()}


def searched_setting(
    title: str, keys: list[str], cells: dict[str, dict[tuple[Any, ...], Cell]], chosen: Comparable
) -> Searched:
    higher = chosen.protocol["metric"] in HIGHER_IS_BETTER
    choose = min if higher else max
    seen = [value for run in chosen.runs for _, value in run.scores[chosen.score].history]
    worst = choose(seen) if seen else None
    rows = [searched_row(row, trials, worst, higher=higher) for row, trials in cells.items()]
    whole = [len(row.scores) for row in rows if row.scores]
    most = budgets(min(whole, default=0))
    for row in rows:
        row.expected.extend(expected_best(row.scores, trials, higher=higher) for trials in most if row.scores)
    return Searched(title, keys, worst, most, rows)


def searched_row(row: str, trials: dict[tuple[Any, ...], Cell], worst: float | None, *, higher: bool) -> SearchedRow:
    """A trial is whole where each of its seeds has a score, and has diverged where one of them did."""
    whole = {values: cell.mean for values, cell in trials.items() if cell.mean is not None and not cell.incomplete}
    diverged = sum(any(state.startswith("diverged") for state in cell.states) for cell in trials.values())
    best = (max if higher else min)(whole, key=lambda values: whole[values], default=next(iter(trials), ()))
    scores = [*whole.values(), *([worst] * diverged if worst is not None else [])]
    return SearchedRow(row, best, scores, diverged, len(trials) - len(whole) - diverged)
