"""Tables as data: rows, columns, and what stands in their cells. The formats are written elsewhere."""

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

from rgan_bench.console import RANK_DEFICIENT, score_label
from rgan_bench.report.budget import Searched
from rgan_bench.report.runs import Run
from rgan_bench.report.statistics import PairTest, compare_table
from rgan_bench.scoring.protocol import HIGHER_IS_BETTER


@dataclass(frozen=True)
class Seed:
    """One run of a cell.

    Attributes:
        value: None: it has none.
        state: why it has none: "diverged at 1,200"; None: it has one.
    """

    run: Run
    value: float | None
    state: str | None


@dataclass
class Cell:
    """One loss under one setting.

    Attributes:
        seeds: a run each.
        paper: what the paper printed; None: nothing, or nothing that may be compared.
        best: whether its mean is the best of the column, or not significantly worse, among the cells in which every
            seed has a value.
    """

    seeds: list[Seed] = field(default_factory=list)
    paper: float | None = None
    best: bool = False

    @property
    def runs(self) -> list[Run]:
        return [seed.run for seed in self.seeds]

    @property
    def seed_values(self) -> list[tuple[int, float | None]]:
        return [(seed.run.seed, seed.value) for seed in self.seeds]

    @property
    def values(self) -> list[float]:
        return [seed.value for seed in self.seeds if seed.value is not None]

    @property
    def states(self) -> list[str]:
        """Of the runs without a value."""
        return [seed.state for seed in self.seeds if seed.state is not None]

    @property
    def incomplete(self) -> bool:
        """Whether a seed has no value. Seeds that diverged would not have been among the good ones."""
        return bool(self.states)

    @property
    def mean(self) -> float | None:
        return fmean(self.values) if self.values else None

    @property
    def sd(self) -> float | None:
        return stdev(self.values) if len(self.values) > 1 else None

    @property
    def difference(self) -> float | None:
        return None if self.mean is None or self.paper is None else self.mean - self.paper


@dataclass
class Column:
    """One setting.

    Attributes:
        settings: what was set: swept key → value.
        spread: whether its numbers are spreads: lower is better, whatever the score.
        higher: whether a higher number is better.
        leader: the row with the best mean, among the cells in which every seed has a value; None: there is none.
        pairs: a test for each pair of rows with several seeds.
    """

    title: str
    cells: dict[str, Cell]
    settings: dict[str, Any] = field(default_factory=dict)
    spread: bool = False
    higher: bool = False
    leader: str | None = None
    pairs: list[PairTest] = field(default_factory=list)

    def against(self, row: str) -> dict[str, PairTest]:
        """Other row → its test against this one, as other − this."""
        seen = [pair.seen_from(row) for pair in self.pairs if row in pair.pair]
        return {pair.pair[0]: pair for pair in seen}


@dataclass
class Table:
    """Rows × columns.

    Attributes:
        score: the score's name.
        protocol: of all its scores; empty: it has none.
        beside_paper: whether the paper's numbers stand beside ours.
        notes: for people: provenance, and what was left out and why.
        down: what the rows are: "loss", or the key whose values they are.
        searched: of a search, one a column, whose cells hold the best trials.
        trials: of a search, all runs.
        own: settings that go with the row: row → key → value; empty: none do.
    """

    name: str
    title: str
    score: str
    rows: list[str]
    columns: list[Column]
    beside_paper: bool
    protocol: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    down: str = "loss"
    searched: list[Searched] = field(default_factory=list)
    trials: list[Run] = field(default_factory=list)
    own: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def own_keys(self) -> list[str]:
        return list(self.own[self.rows[0]]) if self.own else []

    @property
    def label(self) -> str:
        """The score's name, marked where it is biased."""
        return score_label(self.score, self.protocol) if self.protocol else self.score

    @property
    def has_settings(self) -> bool:
        """Whether columns are settings; those of table 3 are four numbers of the same runs."""
        return not self.name.startswith("table3")

    @property
    def rank_deficient(self) -> bool:
        return bool(self.protocol.get("rank_deficient", False))

    @property
    def runs(self) -> list[Run]:
        found = {run.folder: run for column in self.columns for cell in column.cells.values() for run in cell.runs}
        return list((found | {run.folder: run for run in self.trials}).values())


def runs_shown(tables: list[Table]) -> int:
    """How many runs, however often each is shown."""
    return len({run.folder for table in tables for run in table.runs})


def make_cell(
    runs: list[Run],
    value: Callable[[Run], float | None],
    printed: float | None = None,
    needed: tuple[int, ...] | None = None,
) -> Cell:
    """
    Args:
        value: of a run; None: it has none.
        needed: iterations at which a run must be scored to have one; None: its last.
    """
    seeds = []
    for run in sorted(runs, key=lambda run: run.seed):
        found = value(run)
        seeds.append(Seed(run, found, state_of(run, needed or (run.iterations,)) if found is None else None))
    return Cell(seeds, printed)


def state_of(run: Run, needed: tuple[int, ...]) -> str:
    """Why a run has no value."""
    # With train.on_divergence=continue a run goes on after it diverged.
    since = run.diverged[0] if run.status == "diverged" and run.diverged else run.iteration
    at = f"at {since:,}"
    if run.status == "finished":
        failed = [iteration for iteration, _ in run.failed if iteration in needed]
        return f"not scored at {failed[-1]:,}" if failed else f"incomplete {at}"
    return f"{run.status} {at}" if run.status in ("diverged", "failed") else f"unfinished {at}"


def rank_note(score: str, protocol: dict[str, Any]) -> list[str]:
    return [f"{score} is {RANK_DEFICIENT} (result.json has it)"] if protocol.get("rank_deficient") else []


def finish(columns: list[Column], protocol: dict[str, Any]) -> list[str]:
    """Compares the rows of each column and marks the best; returns notes on better means that were passed over.

    Args:
        protocol: of all their scores.
    """
    tests = compare_table([{row: cell.seed_values for row, cell in column.cells.items()} for column in columns])
    notes = []
    for column, pairs in zip(columns, tests, strict=True):
        column.pairs = pairs
        column.higher = protocol.get("metric") in HIGHER_IS_BETTER and not column.spread
        notes += mark_best(column)
    return notes


def mark_best(column: Column) -> list[str]:
    means = {row: cell.mean for row, cell in column.cells.items() if cell.mean is not None}
    whole = {row: mean for row, mean in means.items() if not column.cells[row].incomplete}
    if len(means) < 2:
        return []
    if not whole:
        return [f"{column.title}: no best is marked, since seeds are missing everywhere"]
    choose, than = (max, "higher") if column.higher else (min, "lower")
    best = column.leader = choose(whole, key=whole.__getitem__)
    tests = column.against(best)
    for row, mean in whole.items():
        test = tests.get(row)
        # Where no test is possible nothing can be said, and the mean alone decides.
        column.cells[row].best = mean == whole[best] if test is None or test.p is None else not test.significant
    return [
        f"{column.title}: {row} has a {than} mean than {best}, but only from {len(column.cells[row].values)} of its "
        f"{len(column.cells[row].seeds)} seeds, and is not marked as the best"
        for row, mean in means.items()
        if mean != means[best] and choose(mean, means[best]) == mean
    ]
