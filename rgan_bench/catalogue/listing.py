"""Runs as a table: on a terminal, as plain text, as HTML, as JSON."""

import io
import json
import sys
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from rgan_bench.catalogue.columns import Column, columns_of
from rgan_bench.catalogue.entry import FoundRun
from rgan_bench.report.formats import MISSING

UNLIMITED = 1_000_000  # characters a line, where nobody looks at it through a window
GAP = 2  # between columns
STYLES = {
    "finished": "green", "running": "cyan", "interrupted": "yellow", "killed": "yellow", "diverged": "red",
    "failed": "red", "damaged": "red",
}  # fmt: skip


def console(file: Any = None) -> Console:
    """On stdout. Where that is no terminal, what is printed is plain and never cut off."""
    file = file or sys.stdout
    terminal = file.isatty()
    width = None if terminal else UNLIMITED
    return Console(
        file=file,
        width=width,
        force_terminal=terminal,
        force_jupyter=False,  # there it would show a second, empty output
        highlight=False,
        markup=False,
        emoji=False,
    )


def put(on: Console, *parts: RenderableType) -> None:
    """Prints them one below the other, without the blanks at the ends of lines with which Rich fills tables."""
    with on.capture() as captured:
        on.print(*parts, sep="\n")
    on.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def grid(header: Iterable[tuple[str, bool]], rows: Iterable[Sequence[str | Text]]) -> Table:
    """
    Args:
        header: (title, whether it stands to the right) of each column.
        rows: printable texts; none of them is read as markup.
    """
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for title, right in header:
        table.add_column(Text(title), justify="right" if right else "left", no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return table


def listing(runs: Sequence[FoundRun], on: Console) -> tuple[Table, list[str]]:
    """The table, and the names of the columns that it has no room for."""
    columns = columns_of(runs, whole=not on.is_terminal)
    cells = {column.name: [column.cell(run) for run in runs] for column in columns}
    widths = {name: max(map(cell_len, (name, *texts))) for name, texts in cells.items()}
    left_out: list[str] = []
    while sum(widths[column.name] for column in columns) + GAP * (len(columns) - 1) > on.width:
        spare = max(columns, key=lambda column: column.rank)
        if not spare.rank:
            break
        columns.remove(spare)
        left_out.append(spare.name)
    rows = [[styled_cell(column, cells[column.name][index]) for column in columns] for index in range(len(runs))]
    return grid(((column.name, column.right) for column in columns), rows), left_out


def styled_cell(column: Column, text: str) -> Text:
    style = STYLES.get(text, "") if column.name == "status" else "dim" if text == MISSING else ""
    return Text(text, style=style)


def as_text(runs: Sequence[FoundRun]) -> str:
    text = io.StringIO()
    on = console(text)
    put(on, listing(runs, on)[0])
    return text.getvalue().rstrip("\n")


def as_html(runs: Sequence[FoundRun], below: Sequence[str]) -> str:
    """
    Args:
        below: lines below the table.
    """
    columns = columns_of(runs)
    head = "".join(f"<th>{escape(column.name)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(column.cell(run))}</td>' for column in columns)}</tr>" for run in runs)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{'<br>'.join(map(escape, below))}</p>"


def as_json(runs: Sequence[FoundRun]) -> str:
    return json.dumps([as_data(run) for run in runs], indent=2, allow_nan=False) + "\n"


def as_data(run: FoundRun) -> dict[str, Any]:
    return {
        "run": run.name,
        "path": str(run.path),
        "status": run.status,
        "problem": run.problem or None,
        "iteration": run.iteration,
        "iterations": run.iterations,
        "loss": run.loss,
        "seed": run.seed,
        "scores": {
            name: {
                "final": dict(zip(("iteration", "value"), score.final, strict=True)),
                "best": dict(zip(("iteration", "value"), score.best, strict=True)),
                "mean": score.mean,
                "sd": score.sd,
                "draws": score.draws,
                "history": score.history,
                "protocol": score.protocol,
            }
            for name, score in run.scores.items()
        },
        "iterations_per_second": run.rate,
        "age_seconds": run.age,
        "bytes": run.bytes,
        "command": run.command,
        "settings": run.settings,
    }
