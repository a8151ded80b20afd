"""How often the tables' claims err: tables without a true difference, and with a known one, through the same code.

    python -m scripts.simulate_tables --tables 2000

Prints the rates that docs/statistics.md has. Scores are 30 + what a seed does to every loss + noise, under 4 settings,
of 8 losses.
"""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import scipy

from rgan_bench.report.cells import Cell, Column, Seed, Table, finish
from rgan_bench.report.ranking import rank_rows
from rgan_bench.report.runs import Run
from rgan_bench.report.statistics import LEVEL, PairTest, detectable
from rgan_bench.report.tuning import tuned_rows

SETTINGS, LOSSES = 4, 8
FAMILY = SETTINGS * LOSSES * (LOSSES - 1) // 2
PROTOCOL = {"metric": "frechet", "rank_deficient": False}
Noise = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
# Each with mean 0 and SD 1.
NOISES: dict[str, Noise] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "t, 3 df": lambda rng, shape: rng.standard_t(3, shape) / np.sqrt(3),
    "log-normal": lambda rng, shape: (rng.lognormal(0, 0.75, shape) - np.exp(0.28125)) / np.sqrt(
        (np.exp(0.5625) - 1) * np.exp(0.5625)
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Design:
    """
    Attributes:
        paired: whether losses share their seeds.
        correlation: between the scores of a seed under two losses.
        unequal: whether the SD rises from 1 to 4 from the first loss to the last.
    """

    seeds: int
    paired: bool
    noise: str = "normal"
    correlation: float = 0.0
    unequal: bool = False

    @property
    def title(self) -> str:
        kind = f"paired, r = {self.correlation:g}" if self.paired else "not paired"
        return f"{self.seeds} seeds, {kind}, {self.noise}{', unequal SDs' if self.unequal else ''}"

    @property
    def df(self) -> int:
        return self.seeds - 1 if self.paired else 2 * (self.seeds - 1)

    @property
    def error(self) -> float:
        """The true standard error of a difference, with equal SDs of 1."""
        return float(np.sqrt(2 * (1 - self.correlation) / self.seeds))


@dataclass
class Tally:
    """Counts over tables: name → (how often, of how many)."""

    counts: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, hits: float, of: float = 1) -> None:
        mine = self.counts.setdefault(name, [0.0, 0.0])
        mine[0] += hits
        mine[1] += of

    def rate(self, name: str) -> str:
        hits, of = self.counts.get(name, [0, 0])
        return f"{100 * hits / of:.1f} %" if of else "—"


def run(seed: int) -> Run:
    return Run(Path(str(seed)), str(seed), "finished", 1, {"seed": seed, "train": {"iterations": 1}}, {})


def table(design: Design, shift: float, rng: np.random.Generator, cliff: float = 0) -> Table:
    """
    Args:
        shift: by which the first loss is better under the first setting.
        cliff: by which the other losses are worse under all but the first setting.
    """
    shape = (SETTINGS, LOSSES, design.seeds)
    draw = NOISES[design.noise]
    own, shared = draw(rng, shape), draw(rng, (SETTINGS, 1, design.seeds))
    noise = np.sqrt(1 - design.correlation) * own + np.sqrt(design.correlation) * shared
    if design.unequal:
        noise = noise * np.linspace(1, 4, LOSSES)[:, None]
    values = 30 + noise
    values[0, 0] -= shift
    values[1:, 1:] += cliff
    columns = []
    for setting in range(SETTINGS):
        cells = {}
        for loss in range(LOSSES):
            first = 0 if design.paired else 1000 * loss
            runs = enumerate(values[setting, loss], first)
            cells[f"loss {loss}"] = Cell([Seed(run(seed), float(value), None) for seed, value in runs])
        columns.append(Column(f"setting {setting}", cells, {"optim.lr": setting}))
    notes = finish(columns, PROTOCOL)
    return Table("sweep", "", "fid", list(columns[0].cells), columns, False, PROTOCOL, notes)


def holds(interval: tuple[float, float] | None, value: float) -> bool:
    return interval is not None and interval[0] <= value <= interval[1]


def count_null(design: Design, tables: int, rng: np.random.Generator) -> Tally:
    tally = Tally()
    for _ in range(tables):
        made = table(design, 0.0, rng)
        pairs = [pair for column in made.columns for pair in column.pairs]
        tally.add("claims", any(pair.significant for pair in pairs))
        tally.add("without Holm", any(pair.p is not None and pair.p < LEVEL for pair in pairs))
        count_intervals(tally, pairs, lambda pair: 0.0)
        for tuned in tuned_rows(made):
            tally.add("each at its best", any(pair.significant for pair in tuned.column.pairs))
        ranking = rank_rows(made)
        if ranking and ranking.p is not None:
            tally.add("Friedman", ranking.p < LEVEL)
    return tally


def count_intervals(tally: Tally, pairs: list[PairTest], true: Callable[[PairTest], float]) -> None:
    tally.add("t interval", sum(holds(pair.ci, true(pair)) for pair in pairs), len(pairs))
    permuted = [pair for pair in pairs if pair.ci_permutation is not None]
    if permuted:
        tally.add("permutation interval", sum(holds(p.ci_permutation, true(p)) for p in permuted), len(permuted))


def count_power(design: Design, tables: int, rng: np.random.Generator) -> Tally:
    """One loss is better under one setting by the minimal detectable difference; and by that of a single comparison."""
    tally = Tally()
    shift, alone = (design.error * detectable(design.df, level) for level in (LEVEL / FAMILY, LEVEL))
    promised = []
    for _ in range(tables):
        made = table(design, shift, rng)
        differ = [pair for pair in made.columns[0].pairs if "loss 0" in pair.pair]
        same = [pair for column in made.columns for pair in column.pairs if pair not in differ]
        tally.add("found", sum(pair.significant for pair in differ), len(differ))
        tally.add("false beside", any(pair.significant for pair in same))
        tally.add("best is bold", made.columns[0].cells["loss 0"].best)
        promised += [pair.mdd for pair in differ if pair.mdd is not None]
        count_intervals(tally, differ, lambda pair: -shift if pair.pair[0] == "loss 0" else shift)
        single = [p for p in table(design, alone, rng).columns[0].pairs if "loss 0" in p.pair and p.p is not None]
        tally.add("found alone", sum(pair.p < LEVEL for pair in single if pair.p is not None), len(single))
    low, middle, high = np.quantile(promised, (0.1, 0.5, 0.9)) / shift
    tally.counts["promised"] = [low, middle, high]
    return tally


def count_tuned(design: Design, tables: int, rng: np.random.Generator) -> Tally:
    """The first loss is as good under every setting as the others are under their best: it alone may choose."""
    tally = Tally()
    for _ in range(tables):
        for tuned in tuned_rows(table(design, 0.0, rng, cliff=1000)):
            tally.add("each at its best", any(pair.significant for pair in tuned.column.pairs))
    return tally


def designs(seeds: tuple[int, ...]) -> list[Design]:
    found = []
    for n in seeds:
        found += [Design(n, True, "normal", 0.0), Design(n, True, "normal", 0.5), Design(n, False)]
        found += [Design(n, paired, noise) for noise in ("t, 3 df", "log-normal") for paired in (True, False)]
        found += [Design(n, True, unequal=True), Design(n, False, unequal=True)]
    return found


def printed(header: list[str], rows: Iterable[list[str]]) -> None:
    """Each row as soon as it is known: all of them take a while."""
    for row in (header, ["---"] * len(header)):
        print(f"| {' | '.join(row)} |")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)
    print()


def null_row(design: Design, names: list[str], tables: int, rng: np.random.Generator) -> list[str]:
    tally = count_null(design, tables, rng)
    return [design.title, *(tally.rate(name) for name in names)]


def power_row(design: Design, names: list[str], tables: int, rng: np.random.Generator) -> list[str]:
    tally = count_power(design, tables, rng)
    low, middle, high = tally.counts["promised"]
    return [design.title, *(tally.rate(name) for name in names), f"{middle:.2f} ({low:.2f} to {high:.2f})"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Rates at which the tables' claims err.")
    parser.add_argument("--tables", type=int, default=2000, help="a design (default: 2000)")
    parser.add_argument("--seeds", default="3,5,10", help="how many, of each loss (default: 3,5,10)")
    arguments = parser.parse_args()
    chosen = designs(tuple(int(n) for n in arguments.seeds.split(",")))
    rng = np.random.default_rng(1)
    noise = 100 * np.sqrt(LEVEL * (1 - LEVEL) / arguments.tables)
    print(
        f"{arguments.tables} tables a design of {SETTINGS} settings × {LOSSES} losses, {FAMILY} pairs; SciPy ", end=""
    )
    print(f"{scipy.__version__}. A rate of 5 % has a standard error of {noise:.1f} %.\n")
    print("Tables without any true difference\n")
    names = ["claims", "without Holm", "t interval", "permutation interval", "each at its best", "Friedman"]
    printed(["design", *names], (null_row(design, names, arguments.tables, rng) for design in chosen))
    print("One loss is better, by the minimal detectable difference\n")
    names = ["found", "found alone", "false beside", "best is bold", "t interval"]
    equal = [design for design in chosen if not design.unequal]
    printed(["design", *names, "MDD told / true"], (power_row(each, names, arguments.tables, rng) for each in equal))
    print("All losses are equal at their best, and one has four settings to choose from\n")
    plain = [design for design in equal if design.noise == "normal"]
    rates = ([each.title, count_tuned(each, arguments.tables, rng).rate("each at its best")] for each in plain)
    printed(["design", "each at its best"], rates)


if __name__ == "__main__":
    main()
