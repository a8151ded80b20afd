"""How losses rank over several settings, and how far each moves between them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev

from rgan_bench.report.cells import Column, Table
from rgan_bench.report.statistics import LEVEL

ENOUGH = 5  # settings or seeds, for a test of ranks


@dataclass(frozen=True)
class RankedRow:
    """A row over all settings.

    Attributes:
        rank: mean of its ranks; 1 is the best.
        sd: of the ranks, between settings.
        ranks: one a setting, of means over seeds; ties share the middle.
        low, high: the lowest and the highest of its means.
    """

    row: str
    rank: float
    sd: float
    ranks: list[float]
    low: float
    high: float

    @property
    def range(self) -> float:
        return self.high - self.low


@dataclass(frozen=True)
class Ranking:
    """
    Attributes:
        settings: titles of the columns.
        rows: best mean rank first.
        left_out: rows that lack a value somewhere → why.
        blocks: what the test of ranks takes for repetitions, "settings" or "seeds"; None: too few of both, or of rows.
        count: how many of them.
        statistic, p: of Friedman's test that all rows rank alike; None: no test.
        critical_difference: between mean ranks, Nemenyi's at 5 %; None: no test.
    """

    settings: list[str]
    rows: list[RankedRow]
    left_out: dict[str, str] = field(default_factory=dict)
    blocks: str | None = None
    count: int = 0
    statistic: float | None = None
    p: float | None = None
    critical_difference: float | None = None


def rank_rows(table: Table) -> Ranking | None:
    """None where the columns are no settings, or fewer than two rows have values in two settings."""
    columns = [column for column in table.columns if sum(c.mean is not None for c in column.cells.values()) > 1]
    if not table.has_settings or len(columns) < 2:
        return None
    present = [row for row in table.rows if any(column.cells[row].seeds for column in columns)]
    left_out = {row: reason for row in present if (reason := lacking(row, columns))}
    rows = [row for row in present if row not in left_out]
    if len(rows) < 2:
        return None
    means = {row: [fmean(column.cells[row].values) for column in columns] for row in rows}
    by_column = [ranked([means[row][i] for row in rows], column.higher) for i, column in enumerate(columns)]
    ranks = {row: [each[i] for each in by_column] for i, row in enumerate(rows)}
    in_order = [
        RankedRow(row, fmean(ranks[row]), stdev(ranks[row]), ranks[row], min(means[row]), max(means[row]))
        for row in sorted(rows, key=lambda row: fmean(ranks[row]))
    ]
    titles = [column.title for column in columns]
    if len(columns) >= ENOUGH:
        return tested(titles, in_order, left_out, "settings", [ranks[row] for row in rows])
    of_seeds = ranks_of_seeds(rows, columns)
    if of_seeds and len(of_seeds[0]) >= ENOUGH:
        return tested(titles, in_order, left_out, "seeds", of_seeds)
    return Ranking(titles, in_order, left_out)


def lacking(row: str, columns: list[Column]) -> str:
    """Where a row has no whole cell; empty: nowhere."""
    reasons = []
    for column in columns:
        cell = column.cells[row]
        if cell.incomplete or not cell.seeds:
            reasons.append(f"{'; '.join(cell.states) or 'no run'} ({column.title})")
    return ", ".join(reasons)


def ranked(values: list[float], higher: bool) -> list[float]:
    """1 for the best; equal ones share the middle of their ranks."""
    from scipy.stats import rankdata

    return [float(rank) for rank in rankdata([-value if higher else value for value in values])]


def ranks_of_seeds(rows: list[str], columns: list[Column]) -> list[list[float]]:
    """Of each row, a seed's mean rank over the settings, a seed each; empty: seeds are not the same everywhere.

    Ranks and not scores, since a setting with large scores would outweigh the others.
    """
    cells = [[column.cells[row] for row in rows] for column in columns]
    seeds = {tuple(seed for seed, _ in cell.seed_values) for line in cells for cell in line}
    if len(seeds) != 1:
        return []
    values = [[cell.values for cell in line] for line in cells]
    by_seed = [
        [ranked([each[seed] for each in line], column.higher) for line, column in zip(values, columns, strict=True)]
        for seed in range(len(next(iter(seeds))))
    ]
    return [[fmean(ranks[index] for ranks in settings) for settings in by_seed] for index in range(len(rows))]


def tested(
    titles: list[str], rows: list[RankedRow], left_out: dict[str, str], blocks: str, samples: Sequence[list[float]]
) -> Ranking:
    """Friedman's test (1937) and Nemenyi's critical difference (1963), as Demšar 2006 has them; 3 rows or more."""
    if len(rows) < 3:
        return Ranking(titles, rows, left_out)
    from scipy.stats import friedmanchisquare, studentized_range

    k, count = len(rows), len(samples[0])
    if all(len(set(block)) == 1 for block in zip(*samples, strict=True)):  # the test would divide by zero
        return Ranking(titles, rows, left_out)
    result = friedmanchisquare(*samples)
    critical = studentized_range.ppf(1 - LEVEL, k, math.inf) / math.sqrt(2) * math.sqrt(k * (k + 1) / (6 * count))
    return Ranking(
        titles, rows, left_out, blocks, count, float(result.statistic), float(result.pvalue), float(critical)
    )
