"""What a budget of trials buys, as a figure."""

from rgan_bench.report.budget import SearchedRow
from rgan_bench.report.cells import Table
from rgan_bench.report.figures import Axis, Figure, Line, Mean, Panel, bounded, score_axis, span
from rgan_bench.report.figures.palette import Look

CAPTION = (
    "Expected best of so many trials drawn at random; thin lines are the ends of its 95 % interval, where it is told."
)


def against_trials(table: Table, shared: dict[str, Look], prefix: str) -> Figure | None:
    """None where nothing was searched, or nowhere twice.

    Args:
        shared: the looks of all rows.
        prefix: of the file's name.
    """
    told = [each for each in table.searched if len(each.budgets) > 1]
    if not told:
        return None
    panels = [Panel(each.title, [line(row, shared[row.row]) for row in each.rows]) for each in told]
    places = sorted({float(trials) for each in told for trials in each.budgets})
    x = span("trials", places, log=places[-1] > 10)
    axis = Axis(x.label, x.range, x.log, {place: f"{place:.0f}" for place in places})
    y = score_axis(table, [value for panel in panels for each in panel.lines for value in each.values()])
    question = "What do more trials buy?"
    return bounded(Figure(f"{prefix}_against_trials", question, CAPTION, axis, y, panels))


def line(row: SearchedRow, look: Look) -> Line:
    means = [Mean(each.trials, each.value, None) for each in row.expected]
    bounds = [(each.trials, each.interval) for each in row.expected if each.interval is not None]
    ends = [[(float(trials), interval[end]) for trials, interval in bounds] for end in (0, 1)] if bounds else []
    return Line(row.row, look, means, seeds=ends)
