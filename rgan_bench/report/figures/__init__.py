"""Figures as data: what is drawn, for the page and for files alike."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from statistics import fmean, stdev

from rgan_bench.report.cells import Table
from rgan_bench.report.figures.palette import Look
from rgan_bench.report.runs import Run
from rgan_bench.scoring.protocol import HIGHER_IS_BETTER

MOST_PANELS = 12
MOST_THIN_LINES = 300  # seeds; with more, only their mean and band are drawn
MOST_POINTS = 200  # of a line
SMALLEST = 1e-100  # that is told from 0: logarithms and quotients of less may not exist
Range = tuple[float, float]


@dataclass(frozen=True)
class Dot:
    x: float
    y: float
    run: Run


@dataclass(frozen=True)
class Mean:
    """Over seeds, at one place; sd None: of one seed."""

    x: float
    y: float
    sd: float | None


@dataclass(frozen=True)
class Line:
    """One loss in one panel.

    Attributes:
        name: the loss.
        means: in the order of x.
        dots: one a seed and place.
        seeds: (x, y) of each seed's thin line.
        printed: what the paper has here; None: nothing that may be compared.
    """

    name: str
    look: Look
    means: list[Mean] = field(default_factory=list)
    dots: list[Dot] = field(default_factory=list)
    seeds: list[list[tuple[float, float]]] = field(default_factory=list)
    printed: Dot | None = None

    def values(self) -> list[float]:
        """Everything that must be seen. A band that reaches below zero, where its mean does not, is cut off there: it
        would forbid a logarithmic axis, and no distance is negative."""
        bands = [y for mean in self.means if mean.sd is not None for y in (mean.y - mean.sd, mean.y + mean.sd)]
        bands = [y for y in bands if y > 0 or any(mean.y <= 0 for mean in self.means)]
        thin = [y for seed in self.seeds for _, y in seed]
        return [*(mean.y for mean in self.means), *bands, *(dot.y for dot in self.dots), *thin] + (
            [self.printed.y] if self.printed else []
        )

    def places(self) -> list[float]:
        thin = [x for seed in self.seeds for x, _ in seed]
        return [*(mean.x for mean in self.means), *(dot.x for dot in self.dots), *thin]


@dataclass(frozen=True)
class Panel:
    title: str
    lines: list[Line]


@dataclass(frozen=True)
class Axis:
    """
    Attributes:
        ticks: where they are not left to the one who draws: place → text.
    """

    label: str
    range: Range
    log: bool = False
    ticks: dict[float, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Figure:
    """Panels that share their axes.

    Attributes:
        name: of its files, without a suffix.
        question: that it answers.
        caption: what is drawn, and what is not.
        sideways: whether x runs upwards: losses below each other, their scores to the right.
    """

    name: str
    question: str
    caption: str
    x: Axis
    y: Axis
    panels: list[Panel]
    sideways: bool = False

    @property
    def legend(self) -> dict[str, Look]:
        return {line.name: line.look for panel in self.panels for line in panel.lines}


def higher_is_better(table: Table) -> bool:
    return table.protocol.get("metric") in HIGHER_IS_BETTER


def arrow(table: Table) -> str:
    return "↑" if higher_is_better(table) else "↓"


def score_axis(table: Table, values: Iterable[float]) -> Axis:
    return span(f"{table.label} {arrow(table)}", values, log=None)


def span(label: str, values: Iterable[float], *, log: bool | None = None) -> Axis:
    """An axis that shows all values.

    Args:
        log: None: where they are all positive, and the largest is more than ten times the smallest: untrained and
            trained, collapsed and converged are too far apart for a linear axis.
    """
    values = list(values)
    low, high = min(values), max(values)
    if log is None:
        log = high > 10 * low
    if log and low > SMALLEST:
        room = (math.log10(high) - math.log10(low)) * 0.06 or 0.1
        return Axis(label, (low / 10**room, high * 10**room), log=True)
    wide = high - low > max(1e-9 * abs(high), SMALLEST)
    room = (high - low) * 0.06 if wide else abs(high) * 0.1 if abs(high) > SMALLEST else 1.0
    return Axis(label, (low - room, high + room))


def over_seeds(x: float, values: list[float]) -> Mean:
    return Mean(x, fmean(values), stdev(values) if len(values) > 1 else None)


def bounded(figure: Figure) -> Figure | None:
    """The figure without what would be too much to look at, which its caption then says; None: nothing is drawn."""
    panels = [replace(panel, lines=[line for line in panel.lines if line.values()]) for panel in figure.panels]
    panels = [panel for panel in panels if panel.lines]
    if not panels:
        return None
    caption = figure.caption
    if len(panels) > MOST_PANELS:
        caption += f" The first {MOST_PANELS} of {len(panels)} settings."
        panels = panels[:MOST_PANELS]
    if sum(len(line.seeds) for panel in panels for line in panel.lines) > MOST_THIN_LINES:
        caption += " Single seeds are too many to be drawn."
        panels = [replace(panel, lines=[replace(line, seeds=[]) for line in panel.lines]) for panel in panels]
    return replace(figure, panels=panels, caption=caption)


def clipped(text: str, most: int) -> str:
    """Without its middle: what begins alike often differs at the end, sgan with ema.half_life=500."""
    return text if len(text) <= most else f"{text[: most // 2 - 1]}…{text[-(most - most // 2) :]}"
