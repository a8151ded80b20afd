"""What can be said of one setting: which row is best, which are not told apart from it, which are worse."""

from dataclasses import dataclass
from statistics import median

from rgan_bench.report.cells import Column, Table
from rgan_bench.report.statistics import Interval, PairTest


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

    def worse_by(self, row: str) -> float:
        """By how much a row is worse than the leader, in the score's unit; negative: better."""
        return -self.tests[row].difference if self.column.higher else self.tests[row].difference

    def interval(self, row: str) -> Interval | None:
        """The 95 % confidence interval of that."""
        ci = self.tests[row].ci
        return (-ci[1], -ci[0]) if ci is not None and self.column.higher else ci


def judge(table: Table, column: Column) -> ColumnVerdict:
    rows = [row for row in table.rows if row in column.cells and column.cells[row].seeds]
    cells = {row: column.cells[row] for row in rows}
    missing = [row for row in rows if cells[row].incomplete]
    leader, tests = column.leader, column.against(column.leader) if column.leader else {}
    others = [row for row in rows if row not in missing and row != leader]
    tested = [row for row in others if row in tests and tests[row].p is not None]
    counts = [len(cell.seeds) for cell in cells.values()]
    return ColumnVerdict(
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


def middle(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
