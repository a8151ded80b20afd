"""The answer to "which is better, and is the difference real?": sentences from a table's tests. docs/statistics.md."""

from dataclasses import dataclass, field
from statistics import fmean, median

from rgan_bench.report.cells import Column, Table
from rgan_bench.report.formats import number
from rgan_bench.report.ranking import Ranking, rank_rows
from rgan_bench.report.statistics import LEVEL, Interval, PairTest
from rgan_bench.report.tuning import Tuned, tuned_rows

FEW = 5  # seeds; below it the spread is hardly known


@dataclass(frozen=True)
class ColumnVerdict:
    """What can be said of one setting. Rows that are named nowhere have no run.

    Attributes:
        leader: the row with the best mean, of those in which every seed has a value; None: there is none.
        equal: rows that are not significantly worse than it.
        worse: rows that are.
        untested: rows with a value of which neither can be said, for lack of seeds or of spread.
        missing: rows in which a seed has no value: none of them is the leader, whatever its mean.
        tests: row → its test against the leader, as row − leader.
        seeds: the fewest and the most seeds of a row.
        mdd: the difference that would be found, as `PairTest` has it: the median over `equal` and `worse`; None: there
            is no test.
        mdd_alone: the same for a single comparison.
        sentences: all this in words.
    """

    column: Column
    leader: str | None
    equal: list[str]
    worse: list[str]
    untested: list[str]
    missing: list[str]
    tests: dict[str, PairTest]
    seeds: tuple[int, int]
    mdd: float | None
    mdd_alone: float | None
    sentences: list[str]


@dataclass(frozen=True)
class Verdict:
    """
    Attributes:
        sentences: the answer, in the order in which it should be read.
        warnings: what a reader must know before believing it.
        columns: one a setting with a value.
        ranking: over the settings; None: there are too few.
        tuned: each loss at its own best value, for each swept number.
        tuned_columns: what can be said of `tuned`, in the same order.
    """

    sentences: list[str]
    warnings: list[str]
    columns: list[ColumnVerdict]
    ranking: Ranking | None = None
    tuned: list[Tuned] = field(default_factory=list)
    tuned_columns: list[ColumnVerdict] = field(default_factory=list)


def verdict(table: Table) -> Verdict:
    columns = [judge(table, column) for column in table.columns if any(cell.seeds for cell in column.cells.values())]
    ranking, tuned = rank_rows(table), tuned_rows(table)
    tuned_columns = [judge(table, each.column) for each in tuned]
    sentences = [sentence for column in columns for sentence in column.sentences]
    for each, column in zip(tuned, tuned_columns, strict=True):
        sentences += [*column.sentences, tuning_sentence(table, each)]
    sentences += ranking_sentences(table, ranking) if ranking else []
    pairs = [pair for column in table.columns for pair in column.pairs]
    sentences += design_sentences(pairs)
    return Verdict(sentences, warnings_of(columns, pairs), columns, ranking, tuned, tuned_columns)


# --- one setting ------------------------------------------------------------------------------------------------------


def judge(table: Table, column: Column) -> ColumnVerdict:
    rows = [row for row in table.rows if row in column.cells and column.cells[row].seeds]
    cells = {row: column.cells[row] for row in rows}
    missing = [row for row in rows if cells[row].incomplete]
    leader, tests = column.leader, column.against(column.leader) if column.leader else {}
    others = [row for row in rows if row not in missing and row != leader]
    tested = [row for row in others if row in tests and tests[row].p is not None]
    counts = [len(cell.seeds) for cell in cells.values()]
    found = ColumnVerdict(
        column,
        leader,
        equal=[row for row in tested if not tests[row].significant],
        worse=[row for row in tested if tests[row].significant],
        untested=[row for row in others if row not in tested],
        missing=missing,
        tests=tests,
        seeds=(min(counts), max(counts)),
        mdd=middle([tests[row].mdd for row in tested]),
        mdd_alone=middle([tests[row].mdd_alone for row in tested]),
        sentences=[],
    )
    text = " ".join([answer(table, found), *rest(table, found)])
    found.sentences.append(f"{column.title}: {text}")
    return found


def middle(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def answer(table: Table, found: ColumnVerdict) -> str:
    column, end = found.column, "highest" if found.column.higher else "lowest"
    if found.leader is None:
        alone = [row for row, cell in column.cells.items() if cell.values]
        if found.missing:
            return f"no {kind(table)} is called the best."
        return (
            f"{name(table, alone[0])} stands alone, with {shown(table, column, alone[0])}; there is nothing to compare."
        )
    text = f"{name(table, found.leader)} has the {end} {table.score}, {shown(table, column, found.leader)}."
    if found.seeds[1] == 1:
        return f"{text} With one seed nothing can be said about noise."
    if found.equal:
        text += f" Not significantly worse: {listed(table, found, found.equal)}."
    if found.worse:
        text += f" Significantly worse: {listed(table, found, found.worse)}."
    return text


def rest(table: Table, found: ColumnVerdict) -> list[str]:
    """What else a reader must know of a setting."""
    column, said = found.column, []
    if found.untested and found.seeds[1] > 1:
        flat = [row for row in found.untested if row in found.tests]
        few = [row for row in found.untested if row not in found.tests]
        if flat:
            worse = [f"{name(table, row)} by {amount(table, found, row)}" for row in flat]
            said.append(f"No test is possible where seeds have no spread: {', '.join(worse)}.")
        if few:
            said.append(f"No test is possible with one seed: {', '.join(name(table, row) for row in few)}.")
    for row in found.missing:
        cell = column.cells[row]
        text = f"{name(table, row)} has no value from {len(cell.states)} of {count(len(cell.seeds))}"
        text += f" ({'; '.join(dict.fromkeys(cell.states))})"
        if cell.mean is not None:
            text += (
                f"; the other{'s have a mean of' if len(cell.values) > 1 else ' has'} {number(cell.mean, table.score)}"
            )
            if row in found.tests and found.tests[row].significant:
                text += f", {'worse' if found.leader and worse_by(found, row) > 0 else 'better'} by "
                text += listed_amount(table, found, row)
        said.append(f"{text}.")
    if found.mdd is not None and found.mdd_alone is not None:
        said.append(
            f"So many seeds with this spread would show a difference of {number(found.mdd, table.score)} in 80 % of "
            f"such tables (of {number(found.mdd_alone, table.score)} if it were the only comparison)."
        )
    return said


def name(table: Table, row: str) -> str:
    return row if table.down == "loss" else f"{table.down}={row}"


def kind(table: Table) -> str:
    return "loss" if table.down == "loss" else table.down


def count(seeds: int) -> str:
    return f"{seeds} seed{'s' * (seeds != 1)}"


def shown(table: Table, column: Column, row: str) -> str:
    cell = column.cells[row]
    assert cell.mean is not None
    return f"{number(cell.mean, table.score)} ({count(len(cell.values))})"


def worse_by(found: ColumnVerdict, row: str) -> float:
    """By how much a row is worse than the leader; negative: better."""
    return -found.tests[row].difference if found.column.higher else found.tests[row].difference


def interval_of(found: ColumnVerdict, row: str) -> Interval | None:
    ci = found.tests[row].ci
    return (-ci[1], -ci[0]) if ci is not None and found.column.higher else ci


def amount(table: Table, found: ColumnVerdict, row: str) -> str:
    return signed(worse_by(found, row), table.score)


def listed_amount(table: Table, found: ColumnVerdict, row: str) -> str:
    interval = interval_of(found, row)
    assert interval is not None
    low, high = (signed(end, table.score) for end in interval)
    return f"{amount(table, found, row)} (95 % CI {low} to {high})"


def listed(table: Table, found: ColumnVerdict, rows: list[str]) -> str:
    in_order = sorted(rows, key=lambda row: worse_by(found, row))
    return ", ".join(f"{name(table, row)} by {listed_amount(table, found, row)}" for row in in_order)


def signed(value: float, score: str) -> str:
    text = number(abs(value), score)
    return f"−{text}" if value < 0 and text.strip("0.") else text


# --- several settings -------------------------------------------------------------------------------------------------


def tuning_sentence(table: Table, tuned: Tuned) -> str:
    parts = []
    for row in tuned.rows:
        text = f"{name(table, row.row)} {row.value:g}"
        falls = [
            f"{signed(each.fall, table.score)} at {each.value:g}"
            for each in (row.below, row.above)
            if each is not None and each.fall is not None
        ]
        parts.append(text + (f" (worse by {' and '.join(falls)})" if falls else ""))
    edge = [name(table, row.row) for row in tuned.rows if row.below is None or row.above is None]
    text = f"Best {tuned.key} of each, and how far its neighbours fall: {'; '.join(parts)}."
    if edge:
        text += f" At an end of what was tried, so that better values may lie beyond: {', '.join(edge)}."
    return f"{text} The seeds that are compared have also chosen, so these means are somewhat too good."


def ranking_sentences(table: Table, ranking: Ranking) -> list[str]:
    settings = f"{len(ranking.settings)} settings"
    ranks = ", ".join(f"{name(table, row.row)} {row.rank:.1f} ± {row.sd:.1f}" for row in ranking.rows)
    text = f"Mean rank over {settings} (± SD between them): {ranks}."
    if ranking.critical_difference is not None and ranking.p is not None:
        text += (
            f" Over {ranking.count} {ranking.blocks}, Friedman's test that all rank alike has p = {ranking.p:.2g}; "
            f"mean ranks are told apart from {ranking.critical_difference:.1f} on (Nemenyi)."
        )
    if ranking.left_out:
        reasons = (f"{name(table, row)}: {reason}" for row, reason in ranking.left_out.items())
        text += f" Not ranked: {'; '.join(reasons)}."
    found = [text]
    if table.name in ("table2", "sweep"):
        rows = sorted(ranking.rows, key=lambda row: row.range)
        moves = ", ".join(
            f"{name(table, row.row)} by {number(row.range, table.score)} "
            f"({number(row.low, table.score)} to {number(row.high, table.score)})"
            for row in rows
        )
        found.append(f"Stability, how far the mean moves over {settings}: {moves}.")
    return found


# --- how it was tested ------------------------------------------------------------------------------------------------


def design_sentences(pairs: list[PairTest]) -> list[str]:
    if not pairs:
        return []
    paired = [pair for pair in pairs if pair.paired]
    related = [pair.correlation for pair in paired if pair.correlation is not None]
    correlated = f"; a seed's scores correlate between rows with r = {fmean(related):.2f} on average" if related else ""
    if len(paired) == len(pairs):
        which = f"seeds are shared, so the tests are paired (t-test of the differences within seeds{correlated})"
    elif paired:
        which = f"{len(paired)} pairs share their seeds and are paired (t-test{correlated}), the others are not (Welch)"
    else:
        which = "seeds are not shared, so the tests are not paired (Welch's t-test)"
    return [
        f"Tested: {len(pairs)} pair{'s' * (len(pairs) != 1)}; {which}; significant is p < {LEVEL:g} after Holm's "
        "correction over the whole table. Each 95 % interval holds by itself, not all of them together."
    ]


def warnings_of(columns: list[ColumnVerdict], pairs: list[PairTest]) -> list[str]:
    found = []
    most = max((column.seeds[1] for column in columns), default=0)
    fewest = min((column.seeds[0] for column in columns), default=0)
    if most == 1:
        found.append("One seed each: nothing can be said about noise, and another seed may well turn the order round.")
    elif 0 < fewest < FEW:
        found.append(
            f"Fewer than {FEW} seeds ({fewest} at least): the spread is hardly known, and only large differences can "
            "be seen."
        )
    if any(column.missing for column in columns):
        found.append(
            "Seeds are missing or diverged; what is left of such a cell is no fair sample, and it is never called the "
            "best."
        )
    if any(pair.p is None for pair in pairs):
        found.append("Some pairs have no spread between seeds: no test is possible there.")
    return found
