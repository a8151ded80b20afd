"""What is shown of a verdict beside its sentences: small tables."""

from dataclasses import dataclass

from rgan_bench.config.combinations import shown
from rgan_bench.report.budget import Expected, Searched
from rgan_bench.report.cells import Table
from rgan_bench.report.effort import Threshold
from rgan_bench.report.formats import MISSING, cell_text, number
from rgan_bench.report.ranking import Ranking
from rgan_bench.report.sentences import kind, signed
from rgan_bench.report.tuning import Neighbour, Tuned
from rgan_bench.report.verdict import Verdict


@dataclass(frozen=True)
class TextTable:
    title: str
    header: list[str]
    rows: list[list[str]]


def answer_tables(table: Table, found: Verdict) -> list[TextTable]:
    """Each row at its own best value, for each swept number, or after so many trials; then the ranks over settings."""
    ranks = [rank_table(table, found.ranking)] if found.ranking else []
    searched = [searched_table(table, each) for each in table.searched if each.budgets]
    return [*searched, *(tuned_table(table, tuned) for tuned in found.tuned), *ranks]


def searched_table(table: Table, searched: Searched) -> TextTable:
    """What the best of so many trials was to be expected to score."""

    def told(expected: Expected) -> str:
        text = number(expected.value, table.score)
        if expected.interval is None:
            return text
        low, high = (number(end, table.score) for end in expected.interval)
        return f"{text} ({low} to {high})"

    rows = [
        [
            row.row,
            f"{len(row.scores)}" + f", {row.diverged} diverged" * bool(row.diverged),
            ", ".join(f"{value:.4g}" if isinstance(value, float) else shown(value) for value in row.values) or MISSING,
            *map(told, row.expected),
            *[MISSING] * (len(searched.budgets) - len(row.expected)),
        ]
        for row in searched.rows
    ]
    head = [kind(table), "trials", f"best {', '.join(searched.keys)}", *(f"best of {n}" for n in searched.budgets)]
    title = f"{table.label} to be expected of the best of so many trials (95 % CI)"
    return TextTable(f"{title}{', ' * bool(searched.title)}{searched.title}", head, rows)


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


def reach_table(table: Table, threshold: Threshold) -> TextTable:
    """What it took each row to reach a score, at the median over its seeds."""

    def told(value: float | None) -> str:
        return MISSING if value is None else f"{value:,.0f}"

    rows = [
        [
            row.row,
            f"{len(row.efforts)} of {row.seeds}",
            *(told(row.typical(of)) for of in ("iterations", "discriminator_steps", "images", "seconds")),
        ]
        for row in threshold.rows
    ]
    head = [
        kind(table),
        "seeds that reach it",
        "iterations",
        "discriminator steps",
        "images seen",
        "seconds of training",
    ]
    value = number(threshold.value, table.score)
    return TextTable(f"{threshold.column}: to {table.label} {value}, {threshold.rule}", head, rows)


def warning(text: str) -> str:
    return f"Warning: {text}"
