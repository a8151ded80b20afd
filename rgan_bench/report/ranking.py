"""How losses rank over several settings, and how far each moves between them."""

import math
from dataclasses import dataclass, field, replace
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
        left_out: rows that lack a value somewhere → why. All may be.
        blocks: what the test of ranks takes for repetitions, "settings" or "seeds"; None: too few of both, or of rows.
        count: how many of them.
        statistic, p: of Friedman's test that all rows rank alike; None: no test.
        critical_difference: between mean ranks over blocks, Nemenyi's at 5 %; None: no test.
        first: the row with the best of these.
        apart: rows that they tell apart from it, if Friedman's test finds any difference.
    """

    settings: list[str]
    rows: list[RankedRow]
    left_out: dict[str, str] = field(default_factory=dict)
    blocks: str | None = None
    count: int = 0
    statistic: float | None = None
    p: float | None = None
    critical_difference: float | None = None
    first: str = ""
    apart: list[str] = field(default_factory=list)


def rank_rows(table: Table) -> Ranking | None:
    """None where the columns are no settings, or fewer than two rows have runs in all of two settings or more."""
    columns = [column for column in table.columns if sum(bool(cell.seeds) for cell in column.cells.values()) > 1]
    present = [row for row in table.rows if any(column.cells[row].seeds for column in columns)]
    everywhere = [row for row in present if all(column.cells[row].seeds for column in columns)]
    if not table.has_settings or len(columns) < 2 or len(everywhere) < 2:
        return None
    left_out = {row: reason for row in present if (reason := lacking(row, columns))}
    rows = [row for row in present if row not in left_out]
    means = {row: [fmean(column.cells[row].values) for column in columns] for row in rows}
    by_column = [ranked([means[row][i] for row in rows], column.higher) for i, column in enumerate(columns)]
    ranks = {row: [each[i] for each in by_column] for i, row in enumerate(rows)}
    in_order = [
        RankedRow(row, fmean(ranks[row]), stdev(ranks[row]), ranks[row], min(means[row]), max(means[row]))
        for row in sorted(rows, key=lambda row: fmean(ranks[row]))
    ]
    found = Ranking([column.title for column in columns], in_order, left_out)
    if len(rows) < 3:  # that a pair differs, the t-tests say
        return found
    if len(columns) >= ENOUGH:
        return tested(found, "settings", ranks)
    of_seeds = ranks_of_seeds(rows, columns)
    return tested(found, "seeds", of_seeds) if of_seeds and len(of_seeds[rows[0]]) >= ENOUGH else found


def lacking(row: str, columns: list[Column]) -> str:
    """Where a row has no whole cell; empty: nowhere."""
    reasons = []
    for column in columns:
        cell = column.cells[row]
        if cell.incomplete or not cell.seeds:
            reasons.append(f"{'; '.join(dict.fromkeys(cell.states)) or 'no run'} ({column.title})")
    return ", ".join(reasons)


def ranked(values: list[float], higher: bool) -> list[float]:
    """1 for the best; equal ones share the middle of their ranks."""
    from scipy.stats import rankdata

    return [float(rank) for rank in rankdata([-value if higher else value for value in values])]


def ranks_of_seeds(rows: list[str], columns: list[Column]) -> dict[str, list[float]]:
    """Row → a seed's mean rank over the settings, for each seed; empty: seeds are not the same everywhere.

    Ranks and not scores, since a setting with large scores would outweigh the others.
    """
    cells = [[column.cells[row] for row in rows] for column in columns]
    seeds = {tuple(seed for seed, _ in cell.seed_values) for line in cells for cell in line}
    if len(seeds) != 1:
        return {}
    settings = [
        [ranked(list(values), column.higher) for values in zip(*(cell.values for cell in line), strict=True)]
        for line, column in zip(cells, columns, strict=True)
    ]
    return {
        row: [fmean(ranks[index] for ranks in seed) for seed in zip(*settings, strict=True)]
        for index, row in enumerate(rows)
    }


def tested(found: Ranking, blocks: str, samples: dict[str, list[float]]) -> Ranking:
    """With Friedman's test (1937) and Nemenyi's critical difference (1963), as Demšar 2006 has them.

    Args:
        samples: of 3 rows or more, a number for each block.
    """
    from scipy.stats import friedmanchisquare, studentized_range

    within = [ranked(list(block), False) for block in zip(*samples.values(), strict=True)]
    if all(len(set(ranks)) == 1 for ranks in within):  # the test would divide by zero
        return found
    k, count = len(samples), len(within)
    result = friedmanchisquare(*samples.values())
    critical = studentized_range.ppf(1 - LEVEL, k, math.inf) / math.sqrt(2) * math.sqrt(k * (k + 1) / (6 * count))
    means = dict(zip(samples, map(fmean, zip(*within, strict=True)), strict=True))
    first = min(means, key=means.__getitem__)
    apart = [row for row, mean in means.items() if result.pvalue < LEVEL and mean - means[first] > critical]
    return replace(
        found,
        blocks=blocks,
        count=count,
        statistic=float(result.statistic),
        p=float(result.pvalue),
        critical_difference=float(critical),
        first=first,
        apart=apart,
    )
