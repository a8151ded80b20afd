"""All runs in one list; a click on one shows what sets it apart, its curves, and its samples over time."""

from collections import Counter
from dataclasses import replace
from html import escape
from typing import Any

from rgan_bench.report.cells import Table
from rgan_bench.report.figures import Figure, Line, Mean, Panel, higher_is_better, span
from rgan_bench.report.figures.palette import INK, Look
from rgan_bench.report.figures.questions import shown
from rgan_bench.report.formats import MISSING
from rgan_bench.report.metrics import Curves, read_curves
from rgan_bench.report.page.book import Book
from rgan_bench.report.page.chart import chart, swatch
from rgan_bench.report.page.numbers import decimals, fixed
from rgan_bench.report.parts import printable
from rgan_bench.report.runs import Run
from rgan_bench.report.sweeps import flat, swept_keys

MOST_WITH_CURVES = 150
MOST_GRIDS = 5  # of a run's, over time
MOST_OTHERS = 6  # values of other runs
CURVES = {"loss": "losses", "logits": "mean logits", "gradient_norm": "gradient norms"}


def all_runs(book: Book) -> str:
    """The list, and what it leads to."""
    runs = in_order(book.tables)
    settings = {run.folder: flat(run) for run in runs}
    keys = [key for key in swept_keys(list(settings.values())) if key != "loss"]
    head = "".join(
        f'<th scope="col">{escape(name)}</th>'
        for name in ("run", *keys, "seed", *(table.label for table in book.tables), "status")
    )
    places = [decimals(table) for table in book.tables]
    body = "".join(line(run, keys, settings[run.folder], book, places) for run in runs)
    counts = {key: Counter(shown(mine.get(key)) for mine in settings.values()) for key in ["loss", *keys]}
    parts = [section(run, index, settings[run.folder], counts, book) for index, run in enumerate(runs)]
    note = "A click on a run shows its settings, curves and samples."
    if len(runs) > MOST_WITH_CURVES:
        note += f" Curves and samples over time are shown for the first {MOST_WITH_CURVES} of {len(runs):,} runs."
    return (
        '<section id="runs" aria-labelledby="runs-title"><h2 id="runs-title">Runs</h2>\n'
        f'<p class="note">{note}</p>\n<p class="filter" hidden><label>Show only runs with '
        '<input type="search" id="filter" autocomplete="off"></label> <output id="found"></output></p>\n'
        '<div class="wide tall" tabindex="0" role="region" aria-label="list of runs"><table class="sortable" id="list">'
        f"<caption>{len(runs):,} run{'s' * (len(runs) != 1)}, the best first</caption>"
        f"<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>\n{''.join(parts)}</section>\n"
    )


def in_order(tables: list[Table]) -> list[Run]:
    """By table, the best first; those without a value come last. A run that several tables show comes once."""
    found: dict[str, Run] = {}
    for table in tables:
        sign = -1 if higher_is_better(table) else 1

        def place(run: Run, score: str = table.score, sign: int = sign) -> tuple[bool, float]:
            value = run.final(score)
            return value is None, 0.0 if value is None else sign * value

        for run in sorted(table.runs, key=place):
            mine = found.setdefault(str(run.folder), run)
            found[str(run.folder)] = replace(mine, scores=run.scores | mine.scores)
    return list(found.values())


def line(run: Run, keys: list[str], mine: dict[str, Any], book: Book, places: list[int]) -> str:
    cells = [f'<th scope="row">{mark(run, book)}<a href="#{book.id_of(run)}">{escape(run.loss)}</a></th>']
    cells += [cell(shown(mine.get(key)), mine.get(key)) for key in keys]
    cells.append(cell(str(run.seed), run.seed))
    for table, digits in zip(book.tables, places, strict=True):
        value = run.final(table.score)
        cells.append(cell(MISSING if value is None else fixed(value, digits), value))
    return f"<tr>{''.join(cells)}<td>{escape(run.status)}</td></tr>\n"


def mark(run: Run, book: Book) -> str:
    look = book.looks.get(run.row) or book.looks.get(run.loss)
    return swatch(look) if look else ""


def cell(text: str, value: Any) -> str:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    sort = f' data-v="{value!r}"' if number else ""
    return f"<td{sort}>{escape(text)}</td>"


# --- one run ----------------------------------------------------------------------------------------------------------


def section(run: Run, index: int, mine: dict[str, Any], counts: dict[str, Counter[str]], book: Book) -> str:
    place = book.id_of(run)
    shows = index < MOST_WITH_CURVES
    pictures = (curves(run) + grids(run, book)) if shows else ""
    facts = "; ".join(run.troubles())
    made = ", ".join(f"{key} {value}" for key, value in run.versions.items())
    return (
        f'<section class="run" id="{place}" tabindex="-1" aria-labelledby="{place}-title">'
        f'<h3 id="{place}-title">{mark(run, book)}{escape(f"{run.loss}, seed {run.seed}")}</h3>\n'
        f"<p>{escape(run.status)} at iteration {run.iteration:,}{escape(f'; {facts}' if facts else '')}. "
        f'<a href="#runs">Back to the runs</a></p>\n{settings_table(mine, counts)}{pictures}'
        f"<h4>Command</h4>\n<pre>{escape(run.command or '(made from Python)')}</pre>\n"
        f'<p class="note">{escape(printable(run.folder))}<br>made by: {escape(made)}</p></section>\n'
    )


def settings_table(mine: dict[str, Any], counts: dict[str, Counter[str]]) -> str:
    """The settings in which runs differ: this run's, and those of the others."""
    lines = []
    for key, count in counts.items():
        value = shown(mine.get(key))
        others = [f"{other} ({number})" for other, number in count.most_common() if other != value]
        if others:
            rest = [f"and {len(others) - MOST_OTHERS} more"] if len(others) > MOST_OTHERS else []
            told = ", ".join(others[:MOST_OTHERS] + rest)
            lines.append(f'<tr><th scope="row">{escape(key)}</th><td>{escape(value)}</td><td>{escape(told)}</td></tr>')
    if not lines:
        return '<p class="note">All runs have the same settings, the seed aside.</p>\n'
    head = '<th scope="col">setting</th><th scope="col">this run</th><th scope="col">other runs (how many)</th>'
    return (
        '<div class="wide" tabindex="0" role="region" aria-label="settings"><table class="settings"><caption>What '
        f"sets it apart</caption><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>\n"
    )


def curves(run: Run) -> str:
    found = read_curves(run.folder)
    panels = [curve(kind, title, found) for kind, title in CURVES.items()]
    panels = [panel for panel in panels if panel]
    if not panels:
        return ""
    return f'<h4>Training</h4>\n<div class="panels">{"".join(panels)}</div>\n'


def curve(kind: str, title: str, found: Curves) -> str:
    """The curves of one kind; the second one is dashed, the third dotted."""
    names = [name for name in found if name.split("/")[0] == kind and len(found[name]) > 1][:4]
    if not names:
        return ""
    lines = [
        Line(name, Look(INK + index), [Mean(x, y, None) for x, y in found[name]]) for index, name in enumerate(names)
    ]
    x = span("iteration", [place for each in lines for place in each.places()])
    y = span("", [value for each in lines for value in each.values()], log=None)
    figure = Figure("", title, "", x, y, [Panel(title, lines)])
    legend = "".join(
        f'<li><svg class="swatch l{INK + index}" aria-hidden="true" viewBox="0 0 24 14" width="24" height="14">'
        f'<polyline class="mean" points="0,7 24,7"/></svg>{escape(name.split("/", 1)[-1])}</li>'
        for index, name in enumerate(names)
    )
    return (
        f'<div class="panel"><p class="of">{escape(title)}</p><ul class="legend">{legend}</ul>'
        f"{chart(figure, figure.panels[0], f'{title} against iteration')}</div>\n"
    )


def grids(run: Run, book: Book) -> str:
    """From the first to the last, evenly."""
    found = []
    for generator in ("raw", "ema") if run.averaged else ("raw",):
        for iteration, content in run.of(generator).grids(MOST_GRIDS):
            url = book.picture(content, 224)
            if url:
                told = f"iteration {iteration:,}" + ", averaged generator" * (generator == "ema")
                found.append(
                    f'<figure><img loading="lazy" alt="samples at {escape(told)}" src="{url}">'
                    f"<figcaption>{escape(told)}</figcaption></figure>\n"
                )
    return f'<h4>Samples over time</h4>\n<div class="grids small">{"".join(found)}</div>\n' if found else ""
