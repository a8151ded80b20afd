"""What is shown of a verdict beside its sentences: small tables; and all of it in HTML."""

from dataclasses import dataclass
from html import escape

from rgan_bench.report.cells import Table
from rgan_bench.report.formats import MISSING, cell_text, number
from rgan_bench.report.ranking import Ranking
from rgan_bench.report.sentences import kind, signed
from rgan_bench.report.tuning import Neighbour, Tuned
from rgan_bench.report.verdict import Verdict, verdict


@dataclass(frozen=True)
class TextTable:
    title: str
    header: list[str]
    rows: list[list[str]]


def answer_tables(table: Table, found: Verdict) -> list[TextTable]:
    """Each row at its own best value, for each swept number; then the ranks over settings."""
    ranks = [rank_table(table, found.ranking)] if found.ranking else []
    return [*(tuned_table(table, tuned) for tuned in found.tuned), *ranks]


def tuned_table(table: Table, tuned: Tuned) -> TextTable:
    def fall(neighbour: Neighbour | None) -> str:
        if neighbour is None:
            return MISSING
        states = "; ".join(neighbour.cell.states)
        text = states if neighbour.fall is None else f"{signed(neighbour.fall, table.score)} worse"
        return f"{text} at {neighbour.value:g}"

    rows = [
        [
            row.row,
            f"{row.value:g}",
            cell_text(row.cell, table.score),
            fall(row.below),
            fall(row.above),
            ", ".join(f"{value:g}" for value in row.missing) or MISSING,
        ]
        for row in tuned.rows
    ]
    head = [kind(table), f"best {tuned.key}", table.label, "next below", "next above", "seeds missing at"]
    return TextTable(f"{table.label}, {tuned.title}", head, rows)


def rank_table(table: Table, ranking: Ranking) -> TextTable:
    rows = [
        [
            row.row,
            f"{row.rank:.2f} ± {row.sd:.2f}",
            number(row.range, table.score),
            number(row.low, table.score),
            number(row.high, table.score),
        ]
        for row in ranking.rows
    ]
    head = [kind(table), "mean rank ± SD", "range of means", "lowest", "highest"]
    return TextTable(f"{table.label} over {len(ranking.settings)} settings", head, rows)


def warning(text: str) -> str:
    return f"Warning: {text}"


# --- HTML -------------------------------------------------------------------------------------------------------------


def answer_html(table: Table) -> str:
    """The verdict as an HTML fragment: warnings, sentences, tables."""
    found = verdict(table)
    parts = [f'<p class="warning">{escape(warning(text))}</p>\n' for text in found.warnings]
    if found.sentences:
        parts.append("<ul>" + "".join(f"<li>{escape(text)}</li>\n" for text in found.sentences) + "</ul>\n")
    parts += map(table_html, answer_tables(table, found))
    return f'<div class="answer">{"".join(parts)}</div>\n' if parts else ""


def table_html(table: TextTable) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in table.header)
    rows = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>\n" for row in table.rows)
    grid = f"<table><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table>"
    return f'<h3>{escape(table.title)}</h3>\n<div class="wide">{grid}</div>\n'
