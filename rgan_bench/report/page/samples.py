"""Samples of every loss at the same setting, side by side."""

from html import escape

from rgan_bench.report.cells import Table
from rgan_bench.report.figures.questions import by_value, setting
from rgan_bench.report.page.book import Book
from rgan_bench.report.page.chart import swatch
from rgan_bench.report.runs import Run

MOST_SETTINGS = 12


def samples(table: Table, book: Book) -> str:
    columns = table.columns[:1] if table.name.startswith("table3") else table.columns
    parts, before = [], book.left_out
    for column in columns[:MOST_SETTINGS]:
        runs = {row: column.cells[row].runs for row in by_value(table)}
        pictures = "".join(sample(row, run, book) for row, run in of_one_seed(runs).items())
        if pictures:
            title = table.title if table.name.startswith("table3") else setting(column.title)
            parts.append(f'<h4>{escape(title)}</h4>\n<div class="grids">{pictures}</div>\n')
    if not parts:
        return ""
    more = len(columns) - MOST_SETTINGS
    notes = [f"{more} further settings are not shown."] * (more > 0)
    notes += ["Some pictures are left out, to keep this page small."] * (book.left_out > before)
    whose = "the averaged generator" if table.protocol.get("generator") == "ema" else "the generator"
    note = f'<p class="note">The newest grid of {whose}. {" ".join(notes)}</p>\n'
    return f"<h3>What do the samples look like?</h3>\n{note}{''.join(parts)}"


def of_one_seed(runs: dict[str, list[Run]]) -> dict[str, Run]:
    """Row → its run of the smallest seed that every row has, or else of its own smallest."""
    there = {row: sorted(mine, key=lambda run: run.seed) for row, mine in runs.items() if mine}
    shared = set.intersection(*({run.seed for run in mine} for mine in there.values())) if there else set()
    return {row: next((r for r in mine if r.seed in shared), mine[0]) for row, mine in there.items()}


def sample(row: str, run: Run, book: Book) -> str:
    found = run.grid()
    url = found and book.picture(found[1])
    if not found or not url:
        return ""
    told = f"{row}, seed {run.seed}"
    return (
        f'<figure><img alt="samples of {escape(told)}" src="{url}">'
        f'<figcaption>{swatch(book.looks[row])}<a href="#{book.id_of(run)}">{escape(told)}</a>, '
        f"iteration {found[0]:,}</figcaption></figure>\n"
    )
