"""A table's cells, and the differences between its rows, as HTML tables."""

from collections import Counter
from html import escape
from typing import Any

from rgan_bench.report.cells import Cell, Column, Table
from rgan_bench.report.figures import arrow, higher_is_better
from rgan_bench.report.figures.questions import by_value, setting, shown
from rgan_bench.report.formats import MISSING, printed_text
from rgan_bench.report.page.book import Book
from rgan_bench.report.page.chart import swatch
from rgan_bench.report.page.numbers import decimals, fixed, signed
from rgan_bench.report.sentences import kind
from rgan_bench.report.statistics import PairTest
from rgan_bench.report.sweeps import is_number

MOST_MATRICES = 12


def row_head(book: Book, row: str) -> str:
    look = book.looks.get(row)
    return f'<th scope="row">{swatch(look) if look else ""}{escape(row)}</th>'


def score_table(table: Table, book: Book) -> str:
    rows = by_value(table)
    columns = [column for column in table.columns if any(cell.seeds for cell in column.cells.values())]
    if not rows:
        return '<p class="note">None of these runs has a score.</p>\n'
    places, usual = decimals(table), usual_seeds(columns)
    body = []
    for row in rows:
        cells = "".join(score_cell(column.cells[row], table, places, usual) for column in columns)
        own = "".join(own_cell(value) for value in table.own.get(row, {}).values())
        body.append(f"<tr>{row_head(book, row)}{own}{cells}</tr>\n")
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="scores: {escape(table.title)}">'
        f'<table class="scores sortable">'
        f"<caption><span>{caption(table, usual)}</span></caption>\n<thead>{score_head(table, columns)}</thead>\n"
        f"<tbody>{''.join(body)}</tbody></table></div>\n{folded(table, rows, columns)}"
    )


def caption(table: Table, usual: int) -> str:
    """Which way is better, how many seeds, what is bold, in which order."""
    better = "higher" if higher_is_better(table) else "lower"
    spread = f"mean ± SD, n = {usual} seeds unless another n is given" if usual > 1 else "one seed a cell"
    name = f"<strong>{escape(table.label)} {arrow(table)}</strong> ({better} is better)"
    return f"{name}, {spread}; bold: not significantly worse than the best of its column; the best row first"


def usual_seeds(columns: list[Column]) -> int:
    counts = Counter(len(cell.values) for column in columns for cell in column.cells.values() if cell.values)
    return counts.most_common(1)[0][0] if counts else 0


def common_key(columns: list[Column]) -> str:
    """The key of columns called key=value; empty: they are not."""
    keys = {column.title.split("=")[0] for column in columns if "=" in column.title and ", " not in column.title}
    return keys.pop() if len(keys) == 1 and all(column.title.count("=") == 1 for column in columns) else ""


def value_of(title: str) -> str:
    text = title.split("=", 1)[1]
    try:
        return shown(float(text))
    except ValueError:
        return text


def score_head(table: Table, columns: list[Column]) -> str:
    """One line, or two: the key above its values, a setting above ours and the paper's."""
    key = common_key(columns)
    high = 2 if key or table.beside_paper else 1
    tall = f' rowspan="{high}"' if high > 1 else ""
    first = "".join(head(name, "col", tall) for name in (kind(table), *table.own_keys))
    if table.beside_paper:
        top = "".join(head(column.title, "colgroup", ' colspan="3"') for column in columns)
        second = "".join(head(name, "col") for name in ("ours", "paper", "difference") * len(columns))
    elif key:
        top = head(key, "colgroup", f' colspan="{len(columns)}"')
        second = "".join(head(value_of(column.title), "col") for column in columns)
    else:
        return f"<tr>{first}{''.join(head(setting(column.title), 'col') for column in columns)}</tr>"
    return f"<tr>{first}{top}</tr><tr>{second}</tr>"


def head(text: str, scope: str, more: str = "") -> str:
    return f'<th scope="{scope}"{more}>{escape(text)}</th>'


def score_cell(cell: Cell, table: Table, places: int, usual: int) -> str:
    parts = []
    if cell.mean is not None:
        text = fixed(cell.mean, places)
        text += f" ± {fixed(cell.sd, places)}" if cell.sd is not None else ""
        parts.append(escape(text))
        if len(cell.values) != usual:
            parts.append(f'<small class="n">(n = {len(cell.values)})</small>')
    states = Counter(cell.states)
    parts += [f'<small class="state">{escape(state)}{f" ({n} runs)" * (n > 1)}</small>' for state, n in states.items()]
    kind = ' class="best"' if cell.best else ""
    value = "" if cell.mean is None else f' data-v="{cell.mean!r}"'
    found = f"<td{kind}{value}>{' '.join(parts) or MISSING}</td>"
    if table.beside_paper:
        difference = MISSING if cell.difference is None else signed(cell.difference, 2)
        found += sortable(printed_text(cell), cell.paper, "printed") + sortable(difference, cell.difference, "printed")
    return found


def own_cell(value: Any) -> str:
    """A setting that goes with the row."""
    return sortable(shown(value), float(value) if is_number(value) else None, "own")


def sortable(text: str, value: float | None, kind: str) -> str:
    sort = "" if value is None else f' data-v="{value!r}"'
    return f'<td class="{kind}"{sort}>{escape(text)}</td>'


def folded(table: Table, rows: list[str], columns: list[Column]) -> str:
    """The rows and columns of the paper's table that nothing was run for."""
    empty = [row for row in table.rows if row not in rows]
    unused = [column for column in table.columns if column not in columns]
    if not empty and not unused:
        return ""
    told = [f"{len(empty)} loss{'es' * (len(empty) > 1)}"] * bool(empty)
    told += [f"{len(unused)} setting{'s' * (len(unused) > 1)}"] * bool(unused)
    names = ", ".join(empty + [column.title for column in unused])
    content = f'<p class="note">{escape(names)}</p>'
    if table.beside_paper:
        heads = "".join(head(column.title, "col") for column in table.columns)
        lines = "".join(
            f'<tr><th scope="row">{escape(row)}</th>'
            + "".join(f"<td>{printed_text(column.cells[row])}</td>" for column in table.columns)
            + "</tr>"
            for row in table.rows
        )
        content += (
            f'<div class="wide" tabindex="0" role="region" aria-label="the paper\'s numbers: {escape(table.title)}">'
            f"<table><caption>The paper's numbers, all of them</caption>"
            f"<thead><tr>{head('loss', 'col')}{heads}</tr></thead><tbody>{lines}</tbody></table></div>"
        )
    return f"<details><summary>{' and '.join(told)} without a run</summary>{content}</details>\n"


# --- differences ------------------------------------------------------------------------------------------------------


def matrices(table: Table, book: Book) -> str:
    """Who differs from whom: a small matrix a column."""
    columns = [column for column in table.columns if column.pairs]
    if not columns:
        return ""
    better = "negative: the row is better" if not higher_is_better(table) else "positive: the row is better"
    note = (
        f'<p class="note">Row minus column ({better}), and p of the test below it. Bold and tinted: significant '
        "(adjusted p &lt; 0.05).</p>\n"
    )
    shown_here, rest = columns[:MOST_MATRICES], columns[MOST_MATRICES:]
    parts = "".join(matrix(table, column, book) for column in shown_here)
    more = f'<p class="note">{len(rest)} further settings are not shown; --format json has them.</p>' if rest else ""
    return f'<h3>Is the difference significant?</h3>\n{note}<div class="matrices">{parts}</div>\n{more}'


def matrix(table: Table, column: Column, book: Book) -> str:
    pairs: dict[tuple[str, str], PairTest] = {}
    for pair in column.pairs:
        one, two = pair.pair
        pairs[one, two], pairs[two, one] = pair.seen_from(two), pair.seen_from(one)
    rows = [row for row in by_value(table) if any(row in names for names in pairs)]
    heads = "".join(head(row, "col") for row in rows)
    body = "".join(
        f"<tr>{row_head(book, row)}"
        + "".join(difference_cell(table, pairs.get((row, other))) for other in rows)
        + "</tr>\n"
        for row in rows
    )
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="differences, '
        f'{escape(setting(column.title))}: {escape(table.title)}">'
        f'<table class="matrix"><caption>{escape(setting(column.title))}</caption>'
        f"<thead><tr><td></td>{heads}</tr></thead><tbody>{body}</tbody></table></div>\n"
    )


def difference_cell(table: Table, pair: PairTest | None) -> str:
    if pair is None:
        return '<td class="self"></td>'
    better = (pair.difference > 0) == higher_is_better(table)
    kind = ("better" if better else "worse") if pair.significant else ""
    p = "no spread" if pair.p_holm is None else "p &lt; 0.001" if pair.p_holm < 0.001 else f"p {pair.p_holm:.2g}"
    gap = " seeds are missing" if pair.incomplete else ""
    return f'<td class="{kind}">{signed(pair.difference, decimals(table))}<small>{p}{gap}</small></td>'
