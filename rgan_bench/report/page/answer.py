"""What the tables say, first thing on the page; and the small tables beside it."""

from html import escape

from rgan_bench.report.answers import TextTable, answer_tables, reach_table
from rgan_bench.report.cells import Table
from rgan_bench.report.claims.claim import Claim
from rgan_bench.report.effort import thresholds
from rgan_bench.report.verdict import verdict

MOST_THRESHOLDS = 12
MOST_SENTENCES = 14  # of a table; who reads more looks at the table


def answers(tables: list[Table]) -> str:
    """The first thing on the page."""
    parts = []
    for index, table in enumerate(tables):
        found = verdict(table)
        sentences = found.sentences or ["No loss has a score that could be compared."]
        rest = len(sentences) - MOST_SENTENCES
        if rest > 0:
            sentences = [*sentences[:MOST_SENTENCES], f"And {rest} sentences more: rgan-table prints them all."]
        items = "".join(f'<li class="warning"><strong>Careful:</strong> {escape(text)}</li>' for text in found.warnings)
        items += "".join(f"<li>{escape(text)}</li>" for text in sentences)
        title = f'<p class="of"><a href="#table-{index}">{escape(table.title)}</a></p>\n' if len(tables) > 1 else ""
        parts.append(f"{title}<ul>{items}</ul>\n")
    title = '<h2 id="answer-title">In short</h2>'
    return f'<section id="answer" aria-labelledby="answer-title">{title}\n{"".join(parts)}</section>\n'


def side_tables(table: Table) -> str:
    """Each loss at its own best value of what was swept, and the ranks over settings."""
    return "".join(map(small_table, answer_tables(table, verdict(table))))


def efforts(table: Table) -> str:
    """What it took to reach a score, folded."""
    found = thresholds(table)
    if not found:
        return ""
    rest = len(found) - MOST_THRESHOLDS
    more = f'<p class="note">{rest} thresholds more: --format json has them.</p>' if rest > 0 else ""
    return (
        "<details><summary>What did it take? Iterations, images and seconds to reach a score</summary>\n"
        '<p class="note">At the median over seeds, by the first score that was as good. A run is scored now and then, '
        "and may have been as good a little before.</p>\n"
        f"{''.join(small_table(reach_table(table, each)) for each in found[:MOST_THRESHOLDS])}{more}</details>\n"
    )


def claims_section(claims: list[Claim]) -> str:
    """What the runs say to the paper's claims; of claims on which they say nothing, nothing."""
    told = [claim for claim in claims if claim.findings]
    if not told:
        return ""
    parts = []
    for claim in told:
        items = "".join(
            f"<li><strong>{each.state}</strong>: {escape(each.text)}"
            + (f'<br><span class="note">Missing: {escape(each.missing)}</span>' if each.missing else "")
            + "</li>\n"
            for each in claim.findings
        )
        items += "".join(f'<li class="note">Missing: {escape(text)}</li>\n' for text in claim.missing)
        parts.append(
            f"<details><summary><strong>{claim.state}</strong>: {escape(claim.statement)} "
            f"({claim.count})</summary>\n<ul>{items}</ul></details>\n"
        )
    title = '<h2 id="claims-title">The claims of arXiv 1807.00734</h2>'
    return f'<section id="claims" aria-labelledby="claims-title">{title}\n{"".join(parts)}</section>\n'


def small_table(table: TextTable) -> str:
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in table.header)
    rows = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td>{escape(text)}</td>" for text in row[1:])
        + "</tr>\n"
        for row in table.rows
    )
    grid = (
        f"<table><caption>{escape(table.title)}</caption><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table>"
    )
    return f'<div class="wide" tabindex="0" role="region" aria-label="{escape(table.title)}">{grid}</div>\n'
