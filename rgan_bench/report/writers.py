"""Tables as text: markdown, csv, JSON. What they open with is the verdict on them."""

import csv
import io
import json
import re
from dataclasses import asdict
from typing import Any

from rgan_bench.report.answers import TextTable, answer_tables, warning
from rgan_bench.report.cells import Cell, Column, Table
from rgan_bench.report.effort import as_data, thresholds
from rgan_bench.report.formats import header, line, own_texts
from rgan_bench.report.parts import printable
from rgan_bench.report.statistics import PairTest
from rgan_bench.report.tuning import Neighbour, Tuned
from rgan_bench.report.verdict import verdict

# --- markdown ---------------------------------------------------------------------------------------------------------


def markdown(tables: list[Table]) -> str:
    parts = []
    for table in tables:
        found = verdict(table)
        said = [*map(warning, found.warnings), *found.sentences]
        grid = TextTable(table.title, header(table), [line(table, row, "**{}**") for row in table.rows])
        parts += [f"### {markdown_escape(table.title)}", "", *listed(said), *grid_lines(grid)]
        for extra in answer_tables(table, found):
            parts += [f"#### {markdown_escape(extra.title)}", "", *grid_lines(extra)]
        parts += listed(table.notes)
    return "\n".join(parts)


def listed(texts: list[str]) -> list[str]:
    return [*(f"- {markdown_escape(text)}" for text in texts), ""] if texts else []


def grid_lines(table: TextTable) -> list[str]:
    rows = [[markdown_escape(text) for text in row] for row in (table.header, *table.rows)]
    widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]
    rule = ["-" * width for width in widths]
    padded = (
        [text.ljust(width) for text, width in zip(row, widths, strict=True)] for row in [rows[0], rule, *rows[1:]]
    )
    return [*(f"| {' | '.join(row)} |" for row in padded), ""]


HTML = re.compile(r"<(?=[A-Za-z/!?])")  # as CommonMark has it


def markdown_escape(text: str) -> str:
    """Text that neither ends a cell nor begins HTML; `p < 0.05`, which does not, is left to be read in a terminal."""
    return HTML.sub("&lt;", text.replace("\\", "\\\\").replace("|", "\\|"))


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
    "values",
    "value_seeds",
    "minus_leader",
    "ci_low",
    "ci_high",
    "permutation_low",
    "permutation_high",
    "paired",
    "p",
    "p_holm",
    "significant",
    "mdd",
    "row_settings",
)


def csv_text(tables: list[Table]) -> str:
    """One line per cell, numbers in full; what is missing is empty. The tests are against the column's leader."""
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_FIELDS, lineterminator="\n")
    writer.writeheader()
    for table in tables:
        tests = [column.against(column.leader) if column.leader else {} for column in table.columns]
        for row in table.rows:
            own = ", ".join(map("=".join, zip(table.own_keys, own_texts(table, row), strict=True)))
            for column, against in zip(table.columns, tests, strict=True):
                cell = column.cells[row]
                writer.writerow(
                    {
                        "table": table.name, "score": plain(table.score), "row": plain(row),
                        "column": plain(column.title),
                        "mean": cell.mean, "sd": cell.sd, "seeds": len(cell.values), "paper": cell.paper,
                        "difference": cell.difference, "states": plain("; ".join(cell.states)), "best": cell.best,
                        "rank_deficient": table.rank_deficient,
                        "values": " ".join(map(repr, cell.values)),
                        "value_seeds": " ".join(str(seed) for seed, value in cell.seed_values if value is not None),
                        **tested_against(against.get(row)), "row_settings": plain(own),
                    }
                )  # fmt: skip
    return text.getvalue()


def tested_against(test: PairTest | None) -> dict[str, Any]:
    if test is None:
        return {}
    low, high = test.ci or (None, None)
    permuted = test.ci_permutation or (None, None)
    return {
        "minus_leader": test.difference, "ci_low": low, "ci_high": high, "permutation_low": permuted[0],
        "permutation_high": permuted[1], "paired": test.paired, "p": test.p, "p_holm": test.p_holm,
        "significant": test.significant, "mdd": test.mdd,
    }  # fmt: skip


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
    found = verdict(table)
    return {
        "table": table.name,
        "title": table.title,
        "score": table.score,
        "rank_deficient": table.rank_deficient,
        "beside_paper": table.beside_paper,
        "protocol": table.protocol,
        "verdict": found.sentences,
        "warnings": found.warnings,
        "row_settings": table.own,
        "columns": [column_dict(column) for column in table.columns],
        "ranking": found.ranking and asdict(found.ranking),
        "tuned": [tuned_dict(tuned) for tuned in found.tuned],
        "searched": [asdict(searched) for searched in table.searched],
        "time_to_reach": [as_data(threshold) for threshold in thresholds(table)],
        "notes": table.notes,
    }


def column_dict(column: Column) -> dict[str, Any]:
    return {
        "title": column.title,
        "settings": column.settings,
        "leader": column.leader,
        "cells": {row: cell_dict(cell) for row, cell in column.cells.items()},
        "pairs": [vars(pair) for pair in column.pairs],
    }


def cell_dict(cell: Cell) -> dict[str, Any]:
    return {
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


def tuned_dict(tuned: Tuned) -> dict[str, Any]:
    rows = [
        {
            "row": row.row,
            "value": row.value,
            "mean": row.cell.mean,
            "sd": row.cell.sd,
            "values": row.cell.values,
            "below": row.below and neighbour_dict(row.below),
            "above": row.above and neighbour_dict(row.above),
            "missing": row.missing,
        }
        for row in tuned.rows
    ]
    pairs = [vars(pair) for pair in tuned.column.pairs]
    return {"key": tuned.key, "others": tuned.others, "rows": rows, "leader": tuned.column.leader, "pairs": pairs}


def neighbour_dict(neighbour: Neighbour) -> dict[str, Any]:
    return {
        "value": neighbour.value,
        "mean": neighbour.cell.mean,
        "fall": neighbour.fall,
        "states": neighbour.cell.states,
    }
