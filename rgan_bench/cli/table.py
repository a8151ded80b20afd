"""rgan-table: run folders → the paper's tables, ours beside the paper's."""

import argparse
import codecs
import json
import os
import stat
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from rgan_bench.api.tables import FORMATS, KINDS, claims_as, find, render, tables_of
from rgan_bench.cli.arguments import add_version, seconds
from rgan_bench.errors import UserError, one_line, shown_as_one_line
from rgan_bench.run.stops import interrupts_raise
from rgan_bench.streams import prepare_streams

if TYPE_CHECKING:
    from rgan_bench.report.cells import Table

ASCII = {"±": "+-", "−": "-", "—": "-", "…": "...", "×": "x", "→": "->"}


def main() -> None:
    prepare_streams(tolerant=False)
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
    add("--table", choices=KINDS, default="auto",
        help="auto: the paper's tables that runs belong to, and the rest as a sweep; or all as a sweep, or as a search "
        "where values look drawn. Averaged generators have a table of their own (auto, sweep)")  # fmt: skip
    add("--claims", action="store_true",
        help="what the runs say to the paper's claims: supported, contradicted or undecided")  # fmt: skip
    add("--score", metavar="NAME[,NAME]", default="",
        help="which scores, by their names in result.json, in this order (default: all, the FID first)")  # fmt: skip
    add("--format", choices=FORMATS, default="markdown",
        help="html: a page with figures, samples and runs; latex: a document; tabular: what goes into one")  # fmt: skip
    add("--out", type=Path, metavar="FILE", help="default: stdout")
    add(
        "--figures",
        type=Path,
        metavar="DIR",
        help="write each figure there too, as PDF, SVG and PNG for a paper's column",
    )
    add("--watch", type=seconds, nargs="?", const=30.0, metavar="SECONDS",
        help="renew --out (and --figures) so often, while runs go on, until Ctrl-C (default: 30)")  # fmt: skip
    add_version(parser)
    return parser


def run(arguments: argparse.Namespace) -> None:
    interrupts_raise()
    if arguments.watch is None:
        return once(arguments)
    if arguments.out is None:
        raise UserError("--watch renews a file: name it with --out FILE")
    try:
        watch(arguments)
    except KeyboardInterrupt:  # the only way out, and nothing wrong
        sys.exit(130)


def watch(arguments: argparse.Namespace) -> NoReturn:
    """Runs may come later, and a file may be read while another program replaces it: what is wrong is said once, and
    tried again."""
    said = ""
    while True:
        try:
            once(arguments)
            said = ""
        except UserError as error:
            if str(error) != said:
                said = str(error)
                say(f"{one_line(error)}; trying again every {arguments.watch:g} seconds")
        time.sleep(arguments.watch)


def once(arguments: argparse.Namespace) -> None:
    from rgan_bench.report.cells import runs_shown
    from rgan_bench.report.parts import printable

    scores = [name for name in arguments.score.split(",") if name]
    runs = find(arguments.outputs, scores, say)
    if arguments.claims:
        put(claims_as(runs, scores, arguments.format), arguments)
        return
    tables = tables_of(runs, arguments.table, scores)
    text = render(tables, arguments.format, runs)
    if arguments.figures is not None:
        draw(tables, arguments.figures)
    put(text, arguments)
    if arguments.out is not None:
        shown = runs_shown(tables)
        out = printable(arguments.out)
        say(f"{len(tables)} table{'s' * (len(tables) != 1)} of {shown} run{'s' * (shown != 1)}: {out}")


def put(text: str, arguments: argparse.Namespace) -> None:
    """Where --out says."""
    from rgan_bench.report.parts import printable

    if arguments.out is None:
        sys.stdout.write(in_encoding(text, sys.stdout.encoding or "utf-8", arguments.format))
        return
    try:
        write_to(arguments.out, text)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UserError(
            f"--out {printable(arguments.out)}: cannot be written ({printable(one_line(error))})"
        ) from error


def draw(tables: list["Table"], folder: Path) -> None:
    from rgan_bench.report.figures.questions import all_figures
    from rgan_bench.report.parts import printable

    try:
        from rgan_bench.report.figures.files import write_figures  # matplotlib takes its time to load
    except ImportError as error:
        raise UserError(f"--figures: {one_line(error)}; install it: pip install matplotlib") from error
    figures = all_figures(tables)
    try:
        write_figures(figures, folder)
    except OSError as error:
        raise UserError(f"--figures {printable(folder)}: cannot be written ({printable(one_line(error))})") from error
    say(f"{len(figures)} figure{'s' * (len(figures) != 1)} as PDF, SVG and PNG: {printable(folder)}")


# --- where it goes ----------------------------------------------------------------------------------------------------


def say(text: str) -> None:
    print(f"rgan-table: {text}", file=sys.stderr, flush=True)


def write_to(path: Path, text: str) -> None:
    """A regular file is replaced when the new one is whole; a link leads to it, and stays. What else is there, a device
    or a pipe, is written into.

    Raises:
        OSError: it cannot be written.
    """
    from rgan_bench.files import write_text_atomically

    try:
        there = path.stat()
    except FileNotFoundError:
        there = None
    for standard in (1, 2):  # /dev/stdout, whatever it leads to: what others have written there must stay
        if there is not None and is_open_as(standard, there):
            return write_into(standard, text)
    if there is None or stat.S_ISREG(there.st_mode):
        return write_text_atomically(Path(os.path.realpath(path)), text)
    return write_into(path, text)


def is_open_as(descriptor: int, there: os.stat_result) -> bool:
    try:
        return os.path.samestat(there, os.fstat(descriptor))
    except OSError:  # closed
        return False


def write_into(where: Path | int, text: str) -> None:
    with open(where, "wb", closefd=not isinstance(where, int)) as file:
        file.write(text.encode())


def in_encoding(text: str, encoding: str, form: str) -> str:
    """The text with every character that the encoding does not have as the format writes such, or in plain signs."""

    def replaced(character: str) -> str:
        if form == "html":
            return f"&#{ord(character)};"
        if form == "json":
            return json.dumps(character)[1:-1]
        return ASCII.get(character) or character.encode("ascii", "backslashreplace").decode()

    if form in ("html", "json") and codecs.lookup(encoding).name != "utf-8":
        encoding = "ascii"  # a page says, and JSON means, UTF-8
    lacking = []
    for character in set(text):
        try:
            character.encode(encoding)
        except UnicodeEncodeError:
            lacking.append(character)
    return text.translate({ord(character): replaced(character) for character in lacking})
