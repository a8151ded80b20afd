"""rgan-table: run folders → the paper's tables, ours beside the paper's."""

import argparse
import sys
from pathlib import Path

from rgan_bench.errors import UserError, one_line, shown_as_one_line

KINDS = ("auto", "table1", "table2", "table3", "sweep")
FORMATS = ("markdown", "csv", "latex", "html", "json")


def main() -> None:
    with shown_as_one_line("rgan-table"):
        run(parser().parse_args())


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rgan-table",
        description="Tables of runs, from their result.json files. Scores under different protocols never share one.",
    )
    add = parser.add_argument
    add("outputs", nargs="*", type=Path, default=[Path("outputs")], metavar="OUTPUTS",
        help="folders that hold runs, at any depth (default: outputs)")  # fmt: skip
    add("--table", choices=KINDS, default="auto", help="auto: the tables of the paper that runs belong to, else sweep")
    add("--format", choices=FORMATS, default="markdown")
    add("--out", type=Path, metavar="FILE", help="default: stdout")
    return parser


def run(arguments: argparse.Namespace) -> None:
    from rgan_bench.report.reading import find_runs
    from rgan_bench.report.tables import make_tables

    runs = find_runs(arguments.outputs, say)
    tables = make_tables(runs, arguments.table)
    if not tables:
        raise UserError(
            f"--table {arguments.table}: none of the {len(runs)} runs belongs there; --table sweep takes any"
        )
    text = render(tables, arguments.format)
    if arguments.out is None:
        sys.stdout.write(text)
        return
    from rgan_bench.files import write_text_atomically

    try:
        write_text_atomically(arguments.out, text)
    except OSError as error:
        raise UserError(f"--out {arguments.out}: cannot be written ({one_line(error)})") from error
    print(f"{len(tables)} tables of {sum(len(table.runs) for table in tables)} runs: {arguments.out}", file=sys.stderr)


def say(text: str) -> None:
    print(f"rgan-table: {text}", file=sys.stderr)


def render(tables: list, form: str) -> str:
    if form == "html":
        try:
            from rgan_bench.report.page import page  # matplotlib takes its time to load
        except ImportError as error:
            raise UserError(f"--format html: {one_line(error)}; install it: pip install matplotlib") from error
        return page(tables)
    from rgan_bench.report import formats, latex

    writers = {"markdown": formats.markdown, "csv": formats.csv_text, "latex": latex.latex, "json": formats.json_text}
    return writers[form](tables)
