"""Panels of a figure as SVG that stands in the page: in its fonts and colours, light or dark, and small."""

import math
from collections.abc import Callable
from html import escape

from rgan_bench.report.figures import Axis, Figure, Line, Panel, clipped
from rgan_bench.report.figures.palette import Look
from rgan_bench.report.runs import Run

WIDTH, HEIGHT = 420, 270
ROW = 24  # pixels a loss, where they stand below each other
LETTER = 6.6  # pixels, about
LONGEST = 26  # letters of a loss's name beside an axis
RADIUS = 5

# The marks of the palette, around the origin.
SHAPES = (
    "M-5,0a5,5 0 1,0 10,0a5,5 0 1,0 -10,0",
    "M-4.5,-4.5h9v9h-9z",
    "M0,-5.5L5.5,4.5H-5.5z",
    "M0,-6L6,0L0,6L-6,0z",
    "M0,5.5L5.5,-4.5H-5.5z",
    "M-2,-5.5h4v3.5h3.5v4h-3.5v3.5h-4v-3.5h-3.5v-4h3.5z",
    "M-5,-3L-3,-5L0,-2L3,-5L5,-3L2,0L5,3L3,5L0,2L-3,5L-5,3L-2,0z",
    "M-5.5,0L4.5,-5.5V5.5z",
    "M5.5,0L-4.5,-5.5V5.5z",
    "M0,-6.5L1.6,-2.2L6.2,-2L2.6,0.8L3.8,5.3L0,2.7L-3.8,5.3L-2.6,0.8L-6.2,-2L-1.6,-2.2z",
)
SYMBOLS = '<svg class="symbols" aria-hidden="true" width="0" height="0"><defs>{}</defs></svg>\n'.format(
    "".join(f'<path id="mark-{slot}" d="{shape}"/>' for slot, shape in enumerate(SHAPES))
)


def swatch(look: Look) -> str:
    """A loss's mark, beside its name."""
    dash = '<path class="thread dashed" d="M1,7H17"/>' if look.dashed else ""
    return (
        f'<svg class="swatch l{look.slot}" aria-hidden="true" viewBox="0 0 18 14" width="18" height="14">{dash}'
        f'<use class="mark" href="#mark-{look.slot}" x="9" y="7"/></svg>'
    )


def chart(figure: Figure, panel: Panel, told: str, id_of: Callable[[Run], str] = lambda run: "") -> str:
    """
    Args:
        told: what it shows, for those who cannot see it.
        id_of: a run's place on the page, where a click on its dot leads.
    """
    paper = Paper(figure, panel)
    lines = "".join(paper.line(line, id_of) for line in panel.lines)
    return (
        f'<svg class="chart" role="img" aria-label="{escape(told)}" viewBox="0 0 {WIDTH} {paper.height:.0f}">'
        f"{paper.frame()}{lines}</svg>"
    )


class Paper:
    """Values → places in a panel."""

    def __init__(self, figure: Figure, panel: Panel) -> None:
        self.sideways = figure.sideways
        self.across, self.upwards = (figure.y, figure.x) if figure.sideways else (figure.x, figure.y)
        self.x_ticks, self.y_ticks = ticks(self.across, 6), ticks(self.upwards, 5)
        longest = max((len(clipped(text, LONGEST)) for text in self.y_ticks.values()), default=1)
        self.left = 12 + LETTER * longest
        self.top = 24.0
        self.height = ROW * len(self.y_ticks) + 66.0 if figure.sideways else float(HEIGHT)
        self.right, self.bottom = WIDTH - 14.0, self.height - 42.0

    def x(self, value: float) -> float:
        return self.left + share(self.across, value) * (self.right - self.left)

    def y(self, value: float) -> float:
        return self.bottom - share(self.upwards, value) * (self.bottom - self.top)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a line's x and y lie."""
        return (self.x(y), self.y(x)) if self.sideways else (self.x(x), self.y(y))

    def frame(self) -> str:
        parts = []
        for value, text in self.x_ticks.items():
            x = self.x(value)
            parts.append(f'<path class="rule" d="M{x:.1f},{self.top:.1f}V{self.bottom:.1f}"/>')
            parts.append(f'<text x="{x:.1f}" y="{self.bottom + 16:.1f}" text-anchor="middle">{escape(text)}</text>')
        for value, text in self.y_ticks.items():
            y = self.y(value)
            parts.append(f'<path class="rule" d="M{self.left:.1f},{y:.1f}H{self.right:.1f}"/>')
            full = f"<title>{escape(text)}</title>" if len(text) > LONGEST else ""
            place = f'x="{self.left - 7:.1f}" y="{y + 4:.1f}" text-anchor="end"'
            parts.append(f"<text {place}>{full}{escape(clipped(text, LONGEST))}</text>")
        middle = (self.left + self.right) / 2
        below = f'x="{middle:.1f}" y="{self.height - 6:.1f}" text-anchor="middle"'
        parts.append(f'<text class="label" {below}>{escape(self.across.label)}</text>')
        parts.append(f'<text class="label" x="4" y="13">{escape(self.upwards.label)}</text>')
        return "".join(parts)

    def line(self, line: Line, id_of: Callable[[Run], str]) -> str:
        parts = [self.band(line)] if not self.sideways else [self.bars(line)]
        parts += [self.path(seed, "seed") for seed in line.seeds]
        if not self.sideways:
            parts.append(self.path([(mean.x, mean.y) for mean in line.means], "mean"))
        for dot in line.dots:
            x, y = self.at(dot.x, dot.y)
            title = f"<title>{escape(f'{line.name}, seed {dot.run.seed}: {dot.y:.4g}')}</title>"
            place = id_of(dot.run)
            link = f' data-run="{place}"' if place else ""
            parts.append(f'<circle class="dot"{link} cx="{x:.1f}" cy="{y:.1f}" r="3">{title}</circle>')
        if line.look.slot < len(SHAPES):
            step = max(1, len(line.means) // 8)
            for mean in line.means[::step]:
                x, y = self.at(mean.x, mean.y)
                parts.append(f'<use class="mark" href="#mark-{line.look.slot}" x="{x:.1f}" y="{y:.1f}"/>')
        if line.printed:
            x, y = self.at(line.printed.x, line.printed.y)
            title = f"<title>{escape(f'{line.name}, the paper: {line.printed.y:.2f}')}</title>"
            parts.append(f'<circle class="printed" cx="{x:.1f}" cy="{y:.1f}" r="6">{title}</circle>')
        kind = f"l{line.look.slot} dashed" if line.look.dashed else f"l{line.look.slot}"
        return f'<g class="{kind}">{"".join(parts)}</g>'

    def path(self, points: list[tuple[float, float]], kind: str) -> str:
        if len(points) < 2:
            return ""
        places = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)
        return f'<polyline class="{kind}" points="{places}"/>'

    def band(self, line: Line) -> str:
        means = [mean for mean in line.means if mean.sd is not None]
        if len(means) < 2:
            return ""
        upper = [(mean.x, mean.y + (mean.sd or 0)) for mean in means]
        lower = [(mean.x, mean.y - (mean.sd or 0)) for mean in reversed(means)]
        places = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in upper + lower)
        return f'<polygon class="band" points="{places}"/>'

    def bars(self, line: Line) -> str:
        parts = []
        for mean in line.means:
            if mean.sd is not None:
                (left, y), (right, _) = self.at(mean.x, mean.y - mean.sd), self.at(mean.x, mean.y + mean.sd)
                parts.append(f'<path class="thread" d="M{left:.1f},{y:.1f}H{right:.1f}"/>')
        return "".join(parts)


def share(axis: Axis, value: float) -> float:
    """How far along the axis, from 0 to 1: what lies beyond an end is drawn at it."""
    low, high = axis.range
    if axis.log:
        low, high, value = math.log10(low), math.log10(high), math.log10(max(value, low))
    return min(1.0, max(0.0, (value - low) / (high - low)))


def ticks(axis: Axis, most: int) -> dict[float, str]:
    return axis.ticks or (log_ticks(axis, most) if axis.log else even_ticks(axis, most))


def even_ticks(axis: Axis, most: int) -> dict[float, str]:
    """At most so many, at 1, 2 or 5 times a power of ten."""
    low, high = axis.range
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first, last = math.ceil(low / step), math.floor(high / step)
    places = max(0, -math.floor(math.log10(step)))
    found = {}
    for number in range(first, min(last, first + most) + 1):
        value = number * step
        found[value] = f"{value:,.{places}f}" if abs(value) < 1e6 and step > 1e-5 else f"{value:.3g}"
    return found


def log_ticks(axis: Axis, most: int) -> dict[float, str]:
    first, last = math.floor(math.log10(axis.range[0])), math.ceil(math.log10(axis.range[1]))
    factors = (1, 2, 5) if last - first <= 2 else (1,)
    step = max(1, (last - first) // most)
    places = [factor * 10.0**power for power in range(first, last + 1, step) for factor in factors]
    return {place: f"{place:g}" for place in places if axis.range[0] <= place <= axis.range[1]}
