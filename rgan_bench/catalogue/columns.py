"""What is told of each run in a list: values, and the texts for them."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.filesize import decimal

from rgan_bench.catalogue.entry import FoundRun, short_name
from rgan_bench.catalogue.overview import score_names, swept
from rgan_bench.config.combinations import shown
from rgan_bench.report.formats import MISSING, number
from rgan_bench.report.parts import printable


@dataclass(frozen=True)
class Column:
    """
    Attributes:
        value: of a run, to sort and to filter by; None: it has none.
        text: of a run, where it has a value.
        right: whether it stands to the right.
        rank: where not all columns fit, those of the highest rank are left out first; 0: never.
    """

    name: str
    value: Callable[[FoundRun], Any]
    text: Callable[[FoundRun], str]
    right: bool = True
    rank: int = 0

    def cell(self, run: FoundRun) -> str:
        return MISSING if self.value(run) is None else printable(self.text(run))


def columns_of(runs: Sequence[FoundRun], *, whole: bool = False) -> list[Column]:
    """
    Args:
        whole: paths and numbers in full, for programs, instead of what suffices for people.
    """
    names = Counter(short_name(run.name) for run in runs)

    def called(run: FoundRun) -> str:
        short = short_name(run.name)
        return str(run.path) if whole or names[short] > 1 else short

    found = [
        Column("run", lambda run: run.name, called, right=False),
        Column("loss", lambda run: run.loss, lambda run: str(run.loss), right=False),
        *(setting(key) for key in swept(runs)),
    ]
    if whole or len({run.seed for run in runs}) > 1:
        found.append(Column("seed", lambda run: run.seed, lambda run: str(run.seed), rank=7))
    found += [
        Column("status", lambda run: run.status, lambda run: run.status, right=False),
        Column("iteration", lambda run: run.iteration, lambda run: progress(run, whole)),
    ]
    for place, name in enumerate(score_names(runs)):
        found.append(score(name, rank=5 if place else 0))
        if place == 0:
            found.append(best(name))
    return [
        *found,
        Column("it/s", lambda run: run.rate, lambda run: f"{run.rate:.3g}", rank=6),
        Column("age", lambda run: run.age, lambda run: duration(run.age), rank=3),
        Column("size", lambda run: run.bytes, lambda run: decimal(run.bytes), rank=4),
    ]


def setting(key: str) -> Column:
    return Column(key, lambda run: run.deciding.get(key), lambda run: shown(run.deciding.get(key)), rank=1)


def score(name: str, rank: int) -> Column:
    def value(run: FoundRun) -> float | None:
        return run.scores[name].final[1] if name in run.scores else None

    return Column(name, value, lambda run: number(run.scores[name].final[1], name), rank=rank)


def best(name: str) -> Column:
    def value(run: FoundRun) -> float | None:
        return run.scores[name].best[1] if name in run.scores else None

    return Column("best", value, lambda run: number(run.scores[name].best[1], name), rank=2)


def progress(run: FoundRun, whole: bool) -> str:
    if run.iterations is None:
        return count(run.iteration or 0, whole)
    return f"{count(run.iteration or 0, whole)}/{count(run.iterations, whole)}"


def count(iteration: int, whole: bool) -> str:
    """ "52k" for 52000."""
    if whole or iteration % 1000 or not iteration:
        return str(iteration)
    return f"{iteration // 1_000_000}M" if iteration % 1_000_000 == 0 else f"{iteration // 1000}k"


def duration(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
