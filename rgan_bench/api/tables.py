"""`rgan-table` for Python."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rgan_bench.errors import UserError

if TYPE_CHECKING:
    from rgan_bench.report.cells import Table
    from rgan_bench.report.runs import Run

KINDS = ("auto", "table1", "table2", "table3", "sweep", "search")
FORMATS = ("markdown", "csv", "latex", "tabular", "html", "json")


class Text(str):
    """What a table is written as; a notebook shows markdown and pages as such."""

    markup: str = ""

    def _repr_markdown_(self) -> str | None:
        return str(self) if self.markup == "markdown" else None

    def _repr_html_(self) -> str | None:
        return str(self) if self.markup == "html" else None


def table(
    *outputs: str | Path,
    kind: str = "auto",
    scores: Sequence[str] = (),
    format: str = "markdown",
    claims: bool = False,
) -> Text:
    """What `rgan-table OUTPUTS` prints: the answer in sentences, then the tables.

    Args:
        outputs: folders that hold runs, at any depth; none: outputs.
        kind: auto, table1, table2, table3, sweep or search.
        scores: names of those that are wanted, in this order; none: all.
        format: markdown, csv, latex, tabular, html (a page) or json.
        claims: what the runs say to the paper's claims, instead of the tables.

    Raises:
        UserError: there are no such runs, scores, tables or formats.
    """
    for value, known, name in ((kind, KINDS, "kind"), (format, FORMATS, "format")):
        if value not in known:
            raise UserError(f"{name}={value}: none of {', '.join(known)}")
    runs = find(outputs or ("outputs",), scores)
    text = Text(claims_as(runs, scores, format) if claims else render(tables_of(runs, kind, scores), format, runs))
    text.markup = format
    return text


def find(
    outputs: Sequence[str | Path], scores: Sequence[str], say: Callable[[str], None] = lambda text: None
) -> list["Run"]:
    """The runs in these folders.

    Args:
        scores: that some of them must have.
        say: is told of each file that is left out, and why.

    Raises:
        UserError: there are none, or none has such a score.
    """
    from rgan_bench.report.protocols import score_names
    from rgan_bench.report.reading import find_runs

    runs = find_runs(map(Path, outputs), say)
    known = score_names(runs)
    for name in scores:
        if name not in known:
            raise UserError(
                f"--score {name}: none of the {len(runs)} runs has it; they have {', '.join(known) or 'none'}"
            )
    return runs


def tables_of(runs: list["Run"], kind: str, scores: Sequence[str]) -> list["Table"]:
    """
    Raises:
        UserError: no run belongs to a table of this kind.
    """
    from rgan_bench.report.tables import make_tables

    tables = make_tables(runs, kind, scores)
    if not tables:
        raise UserError(f"--table {kind}: none of the {len(runs)} runs belongs there; --table sweep takes any")
    return tables


def claims_as(runs: list["Run"], scores: Sequence[str], form: str) -> str:
    """The paper's claims, as markdown or JSON.

    Raises:
        UserError: another format.
    """
    from rgan_bench.report.claims.checks import claims_of
    from rgan_bench.report.claims.claim import claims_data, claims_text

    if form not in ("markdown", "json"):
        raise UserError(f"--claims --format {form}: claims are written as markdown or json")
    found = claims_of(runs, scores[0] if scores else None)
    return json.dumps(claims_data(found), indent=2) + "\n" if form == "json" else claims_text(found)


def render(tables: list["Table"], form: str, runs: list["Run"]) -> str:
    if form == "html":
        from rgan_bench.report.claims.checks import claims_of
        from rgan_bench.report.page import page

        return page(tables, claims_of(runs))
    from rgan_bench.report import latex, writers

    writer = {
        "markdown": writers.markdown, "csv": writers.csv_text, "latex": latex.latex, "tabular": latex.tabulars,
        "json": writers.json_text,
    }  # fmt: skip
    return writer[form](tables)
