"""Tables as text: markdown, csv, JSON; and what their cells and headers say, in any format."""

import csv
import io
import json
from dataclasses import asdict
from typing import Any

from rgan_bench.report.cells import Cell, Column, Table
from rgan_bench.report.parts import printable
from rgan_bench.scoring.protocol import is_fid

MISSING = "—"


def number(value: float, score: str) -> str:
    """FIDs with two decimals, as the paper prints them; other distances with four digits."""
    return f"{value:.2f}" if is_fid(score) else f"{value:.4g}"


def cell_text(cell: Cell, score: str) -> str:
    """ "31.98", with several seeds "31.98 ± 1.20 (3 seeds)"; what has no value says why."""
    parts = []
    if cell.mean is not None:
        text = number(cell.mean, score)
        if cell.sd is not None:
            text += f" ± {number(cell.sd, score)} ({len(cell.values)} seeds)"
        parts.append(text)
    parts += cell.states
    return "; ".join(parts) or MISSING


def difference_text(cell: Cell, score: str) -> str:
    return (
        MISSING
        if cell.difference is None
        else f"{'+' if cell.difference >= 0 else '−'}{number(abs(cell.difference), score)}"
    )


def printed_text(cell: Cell) -> str:
    return MISSING if cell.paper is None else f"{cell.paper:.2f}"


def header(table: Table) -> list[str]:
    names = ["loss" if table.name != "sweep" else ""]
    for column in table.columns:
        names += [column.title, "paper", "difference"] if table.beside_paper else [column.title]
    return names


def line(table: Table, row: str, bold: str = "{}") -> list[str]:
    """The texts of a row; `bold` is a format for the best of a column."""
    texts = [row]
    for column in table.columns:
        cell = column.cells[row]
        ours = cell_text(cell, table.score)
        texts.append(bold.format(ours) if cell.best else ours)
        if table.beside_paper:
            texts += [printed_text(cell), difference_text(cell, table.score)]
    return texts


# --- markdown ---------------------------------------------------------------------------------------------------------


def markdown(tables: list[Table]) -> str:
    parts = []
    for table in tables:
        rows = [header(table), *(line(table, row, "**{}**") for row in table.rows)]
        rows = [[markdown_escape(text) for text in row] for row in rows]
        widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]
        rule = ["-" * width for width in widths]
        lines = [
            "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |"
            for row in [rows[0], rule, *rows[1:]]
        ]
        title, notes = markdown_escape(table.title), [f"- {markdown_escape(note)}" for note in table.notes]
        parts.append("\n".join([f"### {title}", "", *lines, *([""] if notes else []), *notes, ""]))
    return "\n".join(parts)


def markdown_escape(text: str) -> str:
    """Text that neither ends a cell nor begins HTML."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "\\<")


# --- csv --------------------------------------------------------------------------------------------------------------

CSV_FIELDS = (
    "table",
    "score",
    "row",
    "column",
    "mean",
    "sd",
    "seeds",
    "paper",
    "difference",
    "states",
    "best",
    "rank_deficient",
)


def csv_text(tables: list[Table]) -> str:
    """One line per cell, numbers in full; what is missing is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_FIELDS, lineterminator="\n")
    writer.writeheader()
    for table in tables:
        for row in table.rows:
            for column in table.columns:
                cell = column.cells[row]
                writer.writerow(
                    {
                        "table": table.name, "score": plain(table.score), "row": plain(row),
                        "column": plain(column.title),
                        "mean": cell.mean, "sd": cell.sd, "seeds": len(cell.values), "paper": cell.paper,
                        "difference": cell.difference, "states": plain("; ".join(cell.states)), "best": cell.best,
                        "rank_deficient": table.rank_deficient,
                    }
                )  # fmt: skip
    return text.getvalue()


def plain(text: str) -> str:
    """A text that no spreadsheet takes for a formula, whatever it begins with: a quote before it says so."""
    if not text.startswith(tuple("=+-@＝＋－＠\t\r")):
        return text
    try:
        float(text)
    except ValueError:
        return "'" + text
    return text


# --- JSON -------------------------------------------------------------------------------------------------------------


def json_text(tables: list[Table]) -> str:
    return json.dumps([as_dict(table) for table in tables], indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def as_dict(table: Table) -> dict[str, Any]:
    return {
        "table": table.name,
        "title": table.title,
        "score": table.score,
        "rank_deficient": table.rank_deficient,
        "beside_paper": table.beside_paper,
        "protocol": table.protocol,
        "columns": [column_dict(column) for column in table.columns],
        "notes": table.notes,
    }


def column_dict(column: Column) -> dict[str, Any]:
    cells = {
        row: {
            "mean": cell.mean,
            "sd": cell.sd,
            "values": cell.values,
            "seeds": [seed.run.seed for seed in cell.seeds if seed.value is not None],
            "diverged": sum(state.startswith("diverged") for state in cell.states),
            "states": cell.states,
            "incomplete": cell.incomplete,
            "paper": cell.paper,
            "difference": cell.difference,
            "best": cell.best,
            "runs": [
                {
                    "seed": seed.run.seed,
                    "value": seed.value,
                    "state": seed.state,
                    "folder": printable(seed.run.folder),
                }
                for seed in cell.seeds
            ],
        }
        for row, cell in column.cells.items()
    }
    return {"title": column.title, "cells": cells, "pairs": [asdict(pair) for pair in column.pairs]}
