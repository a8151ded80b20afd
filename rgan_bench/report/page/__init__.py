"""The tables as one self-contained page: the answer, tables, figures, samples, runs, and where numbers come from."""

from collections.abc import Sequence
from html import escape
from importlib.resources import files

from rgan_bench.report.cells import Table, runs_shown
from rgan_bench.report.claims.claim import Claim
from rgan_bench.report.figures import Figure
from rgan_bench.report.figures.palette import BACKGROUNDS, COLOURS
from rgan_bench.report.figures.questions import figures
from rgan_bench.report.page.answer import answers, claims_section, efforts, side_tables
from rgan_bench.report.page.book import Book
from rgan_bench.report.page.chart import SYMBOLS, chart, swatch
from rgan_bench.report.page.runs import all_runs
from rgan_bench.report.page.samples import samples
from rgan_bench.report.page.tables import matrices, score_table


def page(tables: list[Table], claims: Sequence[Claim] = ()) -> str:
    """HTML to be read offline, on a screen, a laptop or a phone, in light or dark.

    Args:
        claims: of the paper, answered.
    """
    book = Book(tables)
    sections = "".join(section(index, table, book) for index, table in enumerate(tables))
    runs = runs_shown(tables)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>rgan_bench: {runs:,} runs compared</title>\n<style>{colours()}{asset('style.css')}</style>\n"
        f"</head>\n<body>\n{SYMBOLS}<header><h1>{runs:,} run{'s' * (runs != 1)} compared</h1>\n{contents(tables)}"
        f"</header>\n<main>\n{answers(tables)}{sections}{claims_section(list(claims))}{all_runs(book)}</main>\n"
        f'<script id="own">{asset("script.js")}</script>\n</body>\n</html>\n'
    )


def asset(name: str) -> str:
    return files("rgan_bench.report.page").joinpath(name).read_text(encoding="utf-8")


def colours() -> str:
    """The palette, and which line takes which of its colours."""
    light, dark = (
        "".join(f"--c{slot}:{pair[scheme]};" for slot, pair in enumerate(COLOURS.values()))
        + f"--paper:{BACKGROUNDS[scheme]};"
        for scheme in (0, 1)
    )
    lines = "".join(f".l{slot}{{--c:var(--c{slot})}}" for slot in range(len(COLOURS)))
    return f":root{{{light}}}\n@media (prefers-color-scheme:dark){{:root{{{dark}}}}}\n{lines}\n"


def contents(tables: list[Table]) -> str:
    links = [("answer", "In short"), *((f"table-{index}", table.label) for index, table in enumerate(tables))]
    links.append(("runs", "Runs"))
    items = "".join(f'<li><a href="#{place}">{escape(text)}</a></li>' for place, text in links)
    return f'<nav aria-label="Parts of this page"><ul>{items}</ul></nav>\n'


def section(index: int, table: Table, book: Book) -> str:
    drawn = "".join(question(figure, book) for figure in figures(table, book.looks))
    title = f'<h2 id="table-{index}-title">{escape(table.title)}</h2>\n'
    return (
        f'<section id="table-{index}" aria-labelledby="table-{index}-title">{title}{score_table(table, book)}{drawn}'
        f"{side_tables(table)}{efforts(table)}"
        f"{matrices(table, book)}{samples(table, book)}{provenance(table)}</section>\n"
    )


def question(figure: Figure, book: Book) -> str:
    """A figure under the question that it answers."""
    # Where losses stand below each other, their names do so too.
    names = {} if figure.sideways else figure.legend
    items = "".join(f"<li>{swatch(look)}{escape(name)}</li>" for name, look in names.items())
    legend = f'<ul class="legend">{items}</ul>' if items else ""
    panels = "".join(
        f'<div class="panel">{f"<p class=of>{escape(panel.title)}</p>" if panel.title else ""}'
        f"{chart(figure, panel, f'{figure.question} {panel.title}'.strip(), book.id_of)}</div>\n"
        for panel in figure.panels
    )
    alone = " alone" * (len(figure.panels) == 1)
    return (
        f'<h3>{escape(figure.question)}</h3>\n<figure class="question">{legend}'
        f'<div class="panels{alone}">{panels}</div><figcaption>{escape(figure.caption)}</figcaption></figure>\n'
    )


def provenance(table: Table) -> str:
    """Under which protocol, and what was left out and why."""
    facts = "".join(
        f"<dt>{escape(str(key))}</dt><dd>{escape(str(value))}</dd>" for key, value in table.protocol.items()
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in table.notes)
    count = f" and {len(table.notes)} note{'s' * (len(table.notes) != 1)}" if notes else ""
    return (
        f"<details><summary>Where the numbers come from: protocol{count}</summary>\n<dl>{facts}</dl>\n"
        f"<ul>{notes}</ul></details>\n"
    )
