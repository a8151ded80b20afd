"""Tables → figures, one a question."""

import math
import re
from collections.abc import Callable, Iterable
from statistics import fmean
from typing import Any

from rgan_bench.config.combinations import shown as as_typed
from rgan_bench.report.cells import Cell, Column, Table
from rgan_bench.report.effort import effort_at
from rgan_bench.report.figures import (
    MOST_POINTS,
    Axis,
    Dot,
    Figure,
    Line,
    Panel,
    arrow,
    bounded,
    over_seeds,
    score_axis,
    span,
)
from rgan_bench.report.figures.palette import Look, looks
from rgan_bench.report.figures.searched import against_trials
from rgan_bench.report.runs import Run
from rgan_bench.report.sentences import kind
from rgan_bench.report.sweeps import flat, is_number, lay_out

BAND = "Mean of the seeds; the band is ± one standard deviation"


def all_figures(tables: list[Table]) -> list[Figure]:
    """Of every table, under names that differ."""
    shared = looks(tables)
    return [figure for table in tables for figure in figures(table, shared)]


def figures(table: Table, shared: dict[str, Look]) -> list[Figure]:
    """
    Args:
        shared: the looks of all rows.
    """
    if not table.runs:
        return []
    scores = against_swept_key(table, shared) or by_loss(table, shared)
    searched = against_trials(table, shared, prefix(table))
    return [
        figure for figure in (searched, scores, *(against(table, shared, what) for what in efforts_of(table))) if figure
    ]


def file_name(*parts: str) -> str:
    """Of letters that every file system takes."""
    return re.sub(r"[^A-Za-z0-9.=-]+", "_", "_".join(parts)).strip("_.")[:120]


def prefix(table: Table) -> str:
    """Of the names of a table's files: sweep_fd_pixels, table1_fid."""
    return file_name(table.name, table.score)


def short(value: float) -> str:
    """0.0001 as people write it, 1e-4."""
    text = f"{value:.4g}"
    if value and (abs(value) < 0.01 or "e" in text):
        mantissa, exponent = f"{value:.3e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return text


def setting(title: str) -> str:
    """A column's title with its numbers as people write them: optim.lr=1e-4."""
    return re.sub(r"(?<==)\d+(\.\d+)?(e-?\d+)?(?=, |$)", lambda found: short(float(found[0])), title)


def panel_title(table: Table, column: Column) -> str:
    """Empty where there is but one setting, or where the columns are no settings."""
    alone = table.name.startswith("table3") or column.title == table.score
    return "" if alone else setting(column.title)


# --- which loss is best in each setting -------------------------------------------------------------------------------


def by_loss(table: Table, shared: dict[str, Look]) -> Figure | None:
    """Losses below each other, the best on top of the first panel in which it has a value."""
    rows = by_value(table)
    places = {row: float(len(rows) - index) for index, row in enumerate(rows)}

    def line(row: str, cell: Cell) -> Line:
        dots = [Dot(places[row], seed.value, seed.run) for seed in cell.seeds if seed.value is not None]
        printed = Dot(places[row], cell.paper, cell.runs[0]) if cell.paper is not None and dots else None
        means = [over_seeds(places[row], cell.values)] if dots else []
        return Line(row, shared[row], means, dots, printed=printed)

    panels = [
        Panel(panel_title(table, column), [line(row, column.cells[row]) for row in rows]) for column in table.columns
    ]
    values = [value for panel in panels for each in panel.lines for value in each.values()]
    if not values:
        return None
    caption = "Each dot is a seed; the large mark is their mean, the bar ± one standard deviation."
    if any(each.printed for panel in panels for each in panel.lines):
        caption += " The open circle is the paper's number."
    losses = Axis("", (0.4, len(rows) + 0.6), ticks={place: row for row, place in places.items()})
    return bounded(
        Figure(
            f"{prefix(table)}_by_loss", f"Which {kind(table)} is best?", caption + missing(table), losses,
            score_axis(table, values), panels, sideways=True,
        )
    )  # fmt: skip


def by_value(table: Table) -> list[str]:
    """Rows that were run, the best first: by the best mean that a row has anywhere, of table 3 by its mean. Whole cells
    go before those in which a seed is missing, and these before rows without a value."""
    better = -1 if arrow(table) == "↑" else 1
    of_means = [column for column in table.columns if table.name.startswith("table3") and column.title == "mean"]

    def rank(row: str) -> tuple[int, float]:
        cells = [column.cells[row] for column in of_means or table.columns]
        found = [(cell.incomplete, better * cell.mean) for cell in cells if cell.mean is not None]
        return min(found) if found else (2, 0.0)

    return sorted((row for row in table.rows if any(c.cells[row].seeds for c in table.columns)), key=rank)


def missing(table: Table) -> str:
    """The runs that no figure of final scores can show."""
    without = {seed.run.folder for c in table.columns for cell in c.cells.values() for seed in cell.seeds if seed.state}
    if not without:
        return ""
    return f" {len(without)} run{'s have' if len(without) > 1 else ' has'} no value and cannot be drawn."


# --- the score against what was swept ---------------------------------------------------------------------------------


def against_swept_key(table: Table, shared: dict[str, Look]) -> Figure | None:
    """None where no number was swept."""
    if table.name not in ("sweep", "search"):
        return None
    settings = {run.folder: flat(run) for run in table.runs}
    keys = lay_out(list(settings.values()))
    # Of rows that others go with, none varied by itself.
    swept = keys.across if keys.down == "loss" or keys.own else [keys.down, *keys.across]
    key = numeric_key(list(settings.values()), swept)
    if key is None:
        return None
    others = [each for each in (keys.down, *keys.across) if each not in ("loss", key)]
    found: dict[str, dict[str, dict[float, list[tuple[Run, float]]]]] = {}
    for run in table.runs:
        mine, value = settings[run.folder], run.final(table.score)
        if value is not None and isinstance(mine.get(key), (int, float)):
            title = ", ".join(f"{each}={shown(mine.get(each))}" for each in others)
            found.setdefault(title, {}).setdefault(str(mine["loss"]), {}).setdefault(float(mine[key]), []).append(
                (run, value)
            )
    if not any(len(places) > 1 for rows in found.values() for places in rows.values()):
        return None  # the key never varied by itself
    own = looks_of({row for rows in found.values() for row in rows}, shared)
    panels = [Panel(title, [swept_line(row, own[row], rows[row]) for row in rows]) for title, rows in found.items()]
    lines = [line for panel in panels for line in panel.lines]
    places = sorted({place for line in lines for place in line.places()})
    log = places[0] > 0 and places[-1] >= 8 * places[0]
    x = span(key, places, log=log)
    if table.name == "sweep":  # what was drawn is no mark for a reader
        x = Axis(key, x.range, x.log, apart(x, places))
    y = score_axis(table, [value for line in lines for value in line.values()])
    name = f"{prefix(table)}_against_{file_name(key)}"
    question = f"How does {key} change the score?"
    return bounded(Figure(name, question, f"{BAND}, each dot a seed.{missing(table)}", x, y, panels))


def swept_line(row: str, look: Look, places: dict[float, list[tuple[Run, float]]]) -> Line:
    dots = [Dot(place, value, run) for place in sorted(places) for run, value in places[place]]
    means = [over_seeds(place, [value for _, value in places[place]]) for place in sorted(places)]
    # A seed's runs at all places, joined by a thin line: it may lie above or below the others everywhere.
    seeds: dict[int, list[tuple[float, float]]] = {}
    for dot in dots:
        seeds.setdefault(dot.run.seed, []).append((dot.x, dot.y))
    return Line(row, look, means, dots, list(seeds.values()) if len(seeds) > 1 else [])


def looks_of(rows: set[str], shared: dict[str, Look]) -> dict[str, Look]:
    """Of losses, which need not be the table's rows."""
    return {row: shared.get(row, Look(index % 10)) for index, row in enumerate(sorted(rows))}


def numeric_key(settings: list[dict[str, Any]], keys: list[str]) -> str | None:
    """The learning rate, or else the key with the most numbers; None: none has two."""
    counts = {key: len({mine.get(key) for mine in settings if is_number(mine.get(key))}) for key in keys}
    several = [key for key in keys if counts[key] > 1]
    return "optim.lr" if "optim.lr" in several else max(several, key=counts.__getitem__, default=None)


def shown(value: Any) -> str:
    return short(value) if is_number(value) else as_typed(value)


def apart(axis: Axis, places: Iterable[float]) -> dict[float, str]:
    """Ticks at the places that were swept, but none so near to the one before that their texts would meet."""
    measure: Callable[[float], float] = math.log10 if axis.log else float
    low, high = map(measure, axis.range)
    found: dict[float, str] = {}
    last = -1.0
    for place in places:
        at = (measure(place) - low) / (high - low)
        if at - last >= 0.13:
            found[place], last = short(place), at
    return found


# --- how scores develop -----------------------------------------------------------------------------------------------


Place = Callable[[Run, int], float]  # of a score on the axis, by the run and the iteration

EFFORTS: dict[str, Place] = {
    "iteration": lambda run, at: at,
    "discriminator steps": lambda run, at: effort_at(run, at).discriminator_steps,
    "images seen": lambda run, at: effort_at(run, at).images,
    "seconds of training": lambda run, at: run.seconds[at],
}


def efforts_of(table: Table) -> list[str]:
    """Along what scores develop: iterations, and what does not merely go with them."""
    configs = [run.config for run in table.runs]
    scored = [(run, at) for run in table.runs if table.score in run.scores for at, _ in run.scores[table.score].history]
    differs = {  # between settings: panels share their axes
        "discriminator steps": len({config["optim"]["n_d"] for config in configs}) > 1,
        "images seen": len({config["train"]["batch_size"] * config["arch"]["pac"] for config in configs}) > 1,
        "seconds of training": all(at in run.seconds for run, at in scored),
    }
    return ["iteration", *(name for name, is_worth_it in differs.items() if is_worth_it)]


def against(table: Table, shared: dict[str, Look], what: str) -> Figure | None:
    rows = by_value(table)
    # The four columns of table 3 read the same runs.
    columns = table.columns[:1] if table.name.startswith("table3") else table.columns
    panels = [
        Panel(
            panel_title(table, column),
            [curve(row, shared[row], column.cells[row].runs, table.score, EFFORTS[what]) for row in rows],
        )
        for column in columns
    ]
    lines = [line for panel in panels for line in panel.lines if line.values()]
    if not any(len(line.places()) > 1 for line in lines):
        return None
    x = span(what, [place for line in lines for place in line.places()])
    y = score_axis(table, [value for line in lines for value in line.values()])
    caption = f"{BAND}; thin lines are the seeds."
    question = "How does the score develop?" if what == "iteration" else f"How does the score develop with {what}?"
    return bounded(Figure(f"{prefix(table)}_against_{file_name(what)}", question, caption, x, y, panels))


def curve(row: str, look: Look, runs: list[Run], score: str, place: Place) -> Line:
    """The mean stands where every seed was scored, of seconds at their mean."""
    told = [(run, dict(run.scores[score].history)) for run in runs if score in run.scores and run.scores[score].history]
    if not told:
        return Line(row, look)
    common = sorted(set.intersection(*(set(history) for _, history in told)))
    means = [
        over_seeds(fmean(place(run, at) for run, _ in told), [history[at] for _, history in told])
        for at in thinned(common)
    ]
    seeds = [[(float(place(run, at)), history[at]) for at in thinned(sorted(history))] for run, history in told]
    return Line(row, look, means, seeds=seeds if len(seeds) > 1 or not means else [])


def thinned(places: list[int]) -> list[int]:
    """At most so many, evenly, with the first and the last."""
    if len(places) <= MOST_POINTS:
        return places
    return [places[round(index * (len(places) - 1) / (MOST_POINTS - 1))] for index in range(MOST_POINTS)]
