"""Figures as files for a paper: PDF, SVG and PNG, one column wide, with everything that they need inside."""

import io
import os
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from rgan_bench.files import write_atomically
from rgan_bench.report.figures import Figure, Line, Panel, clipped
from rgan_bench.report.figures.palette import Look

COLUMN = 84 / 25.4  # inches: a column of most journals
LETTERS = 54  # that a title as wide as the column has
NAME = 28  # letters of a loss's name
SUFFIXES = ("pdf", "svg", "png")
STYLE: Any = {
    "font.family": "sans-serif", "font.size": 7, "axes.titlesize": 7, "axes.labelsize": 7, "legend.fontsize": 6.5,
    "xtick.labelsize": 6.5, "ytick.labelsize": 6.5, "axes.linewidth": 0.6, "lines.linewidth": 1.1,
    "axes.spines.top": False, "axes.spines.right": False, "xtick.major.width": 0.6, "ytick.major.width": 0.6,
    "pdf.fonttype": 42,  # TrueType: publishers refuse Type 3
    "svg.fonttype": "path",  # outlines: no font need be there
    "svg.hashsalt": "rgan", "savefig.dpi": 300,
}  # fmt: skip


def write_figures(figures: list[Figure], folder: Path) -> list[Path]:
    """Each as NAME.pdf, NAME.svg and NAME.png; files of these names are replaced, once the new ones are whole.

    Raises:
        OSError: one cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for figure in figures:
        with drawn(figure) as made:
            for suffix in SUFFIXES:
                content = io.BytesIO()
                made.savefig(content, format=suffix, metadata=NO_DATE[suffix])
                path = folder / f"{figure.name}.{suffix}"
                write_atomically(Path(os.path.realpath(path)), lambda file, c=content: file.write(c.getvalue()))  # type: ignore[misc]
                written.append(path)
    return written


# So that equal runs give equal files.
NO_DATE: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}


@contextmanager
def drawn(figure: Figure) -> Iterator[Any]:
    with pyplot.rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a name with characters that this font does not have
        wide = 1 if len(figure.panels) == 1 or figure.sideways else 2
        high = -(-len(figure.panels) // wide)
        legend = [] if figure.sideways else list(figure.legend.items())
        beside = max((min(NAME, len(text)) for text in figure.x.ticks.values()), default=0) if figure.sideways else 8
        titles = {panel.title: wrapped(panel.title, (LETTERS - beside) // wide) for panel in figure.panels}
        each = 0.5 + 0.16 * len(figure.x.ticks) if figure.sideways else (2.1 if wide == 1 else 1.45)
        each += 0.12 * max(title.count("\n") for title in titles.values())
        legend_rows = -(-len(legend) // 3)
        height = min(each * high + 0.17 * legend_rows + 0.1, 9.0)
        made, grid = pyplot.subplots(
            high, wide, figsize=(COLUMN, height), sharex=True, sharey=True, squeeze=False, layout="constrained"
        )
        axes = list(grid.flat)
        for place, panel in zip(axes, figure.panels, strict=False):
            draw(place, figure, panel, titles[panel.title])
        for place in axes[len(figure.panels) :]:
            place.set_axis_off()
        for column in range(wide):  # below a panel that is not there, the one above has the numbers
            lowest = [place for place in grid[:, column] if place.axison][-1]
            lowest.tick_params(labelbottom=True)
        across, upwards = (figure.y, figure.x) if figure.sideways else (figure.x, figure.y)
        made.supxlabel(no_formula(across.label), fontsize=7)
        made.supylabel(no_formula(upwards.label), fontsize=7)
        if legend:
            handles = [Line2D([], [], **line_style(look), marker=look.mark, markersize=3.5) for _, look in legend]
            names = [no_formula(clipped(name, NAME)) for name, _ in legend]
            made.legend(handles, names, loc="outside upper center", ncols=min(3, len(legend)), frameon=False)
        yield made
        pyplot.close(made)


def line_style(look: Look) -> dict[str, Any]:
    return {"color": look.light, "linestyle": "--" if look.dashed else "-"}


def no_formula(text: str) -> str:
    """Matplotlib takes what stands between two dollars for a formula, and fails where it is none."""
    return text.replace("$", r"\$")


def wrapped(text: str, most: int) -> str:
    """In lines of about so many letters, of which no more than three."""
    lines = textwrap.wrap(text, most, break_long_words=False, break_on_hyphens=False, max_lines=3, placeholder=" …")
    return "\n".join(clipped(each, most) for each in lines)


def draw(axes: Axes, figure: Figure, panel: Panel, title: str) -> None:
    across, upwards = (figure.y, figure.x) if figure.sideways else (figure.x, figure.y)
    if across.log:
        axes.set_xscale("log")
    if upwards.log:
        axes.set_yscale("log")
    axes.set(xlim=across.range, ylim=upwards.range, title=no_formula(title))
    for axis, told in ((axes.xaxis, across), (axes.yaxis, upwards)):
        if told.ticks:
            axis.set_major_locator(matplotlib.ticker.FixedLocator(list(told.ticks)))
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(
                matplotlib.ticker.FixedFormatter([no_formula(clipped(text, NAME)) for text in told.ticks.values()])
            )
        elif told.log:
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            few = told.range[1] < 100 * told.range[0]
            axis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5) if few else (1,)))
            axis.set_minor_formatter(NullFormatter())
    for line in panel.lines:
        (draw_dots if figure.sideways else draw_line)(axes, line)


def draw_line(axes: Axes, line: Line) -> None:
    style = line_style(line.look)
    for seed in line.seeds:
        axes.plot(*zip(*seed, strict=True), **style, linewidth=0.4, alpha=0.5)
    if line.dots:
        axes.plot([dot.x for dot in line.dots], [dot.y for dot in line.dots], linestyle="none", marker=line.look.mark,
                  color=line.look.light, markersize=1.8, alpha=0.6, markeredgewidth=0)  # fmt: skip
    if line.means:
        x, y = [mean.x for mean in line.means], [mean.y for mean in line.means]
        axes.plot(x, y, **style, marker=line.look.mark, markersize=2.8, markevery=max(1, len(x) // 10))
        low, high = zip(*((mean.y - (mean.sd or 0), mean.y + (mean.sd or 0)) for mean in line.means), strict=True)
        axes.fill_between(x, low, high, color=line.look.light, alpha=0.1, linewidth=0)


def draw_dots(axes: Axes, line: Line) -> None:
    for mean in line.means:
        axes.errorbar(mean.y, mean.x, xerr=mean.sd, color=line.look.light, marker=line.look.mark, markersize=4.5)
    axes.plot([dot.y for dot in line.dots], [dot.x for dot in line.dots], linestyle="none", marker="|",
              color=line.look.light, markersize=5, alpha=0.7)  # fmt: skip
    if line.printed:
        axes.plot(line.printed.y, line.printed.x, marker="o", markersize=6, fillstyle="none", color="0.3")
