"""What a table says, in sentences. The one place in which the page says who is better."""

from html import escape

from rgan_bench.report.cells import Column, Table
from rgan_bench.report.figures import higher_is_better
from rgan_bench.report.figures.questions import setting
from rgan_bench.report.page.numbers import decimals, fixed

MOST_SENTENCES = 12


def answers(tables: list[Table]) -> str:
    """The first thing on the page."""
    parts = []
    for index, table in enumerate(tables):
        sentences, warnings = said(table)
        items = "".join(f"<li>{escape(text)}</li>" for text in sentences)
        items += "".join(f'<li class="warning"><strong>Careful:</strong> {escape(text)}</li>' for text in warnings)
        title = f'<p class="of"><a href="#table-{index}">{escape(table.title)}</a></p>\n' if len(tables) > 1 else ""
        parts.append(f"{title}<ul>{items}</ul>\n")
    title = '<h2 id="answer-title">In short</h2>'
    return f'<section id="answer" aria-labelledby="answer-title">{title}\n{"".join(parts)}</section>\n'


def said(table: Table) -> tuple[list[str], list[str]]:
    """(sentences, warnings)."""
    sentences = [best_of(table, column) for column in table.columns]
    sentences = [text for text in sentences if text]
    if len(sentences) > MOST_SENTENCES:
        rest = len(sentences) - MOST_SENTENCES
        sentences = [*sentences[:MOST_SENTENCES], f"And {rest} more settings, in the table below."]
    return sentences or ["No loss has a score that could be compared."], warnings_of(table)


def best_of(table: Table, column: Column) -> str:
    """Which row has the best mean, and which are not shown to be worse."""
    best = next((row for row in table.rows if column.cells[row].best), None)
    if best is None:
        return ""
    cell, places = column.cells[best], decimals(table)
    assert cell.mean is not None
    seeds = f"mean of {len(cell.values)} seeds" if len(cell.values) > 1 else "one seed"
    text = f"{best} has the {'highest' if higher_is_better(table) else 'lowest'} {table.label}, "
    text += f"{fixed(cell.mean, places)} ({seeds})"
    pairs = [pair for pair in column.pairs if best in pair["pair"]]
    others = [(next(row for row in pair["pair"] if row != best), pair["significant"]) for pair in pairs]
    worse, alike = ([row for row, is_worse in others if is_worse is wanted] for wanted in (True, False))
    text += f"; significantly worse: {', '.join(worse)}" * bool(worse)
    text += f"; not significantly different: {', '.join(alike)}" * bool(alike)
    text += "; whether that is noise cannot be said" * (not pairs)
    title = "" if column.title == table.score else f"{setting(column.title)}: "
    return f"{title}{text}."


def warnings_of(table: Table) -> list[str]:
    runs = table.runs
    counts = sorted({len(cell.values) for column in table.columns for cell in column.cells.values() if cell.values})
    found = []
    if counts and counts[0] < 5:
        found.append(f"some numbers rest on {counts[0]} seed{'s' * (counts[0] > 1)} only.")
    troubled = sum(bool(run.troubles()) for run in runs)
    if troubled:
        found.append(f"{troubled} of {len(runs)} runs diverged, collapsed or could not be scored; the notes name them.")
    return found
