"""Fills in what a report shows of its results: python -m scripts.report studies/NAME/REPORT.md [--check]

Between `<!-- $ COMMAND -->` and the next `<!-- end -->` goes what the command prints when it runs in the report's
folder: `rgan-table …`, or `python FILE …`. What stands there was printed, then, and not typed. With --check nothing is
written, and a block that is not what its command prints is shown (exit status 1).
"""

import argparse
import contextlib
import difflib
import io
import re
import runpy
import shlex
import sys
from pathlib import Path

from rgan_bench.cli import table
from rgan_bench.files import write_text_atomically

BLOCK = re.compile(r"^(<!-- \$ (?P<command>[^\n]+) -->\n)(?P<text>.*?)^(<!-- end -->)", re.DOTALL | re.MULTILINE)


def filled(report: str) -> str:
    """The report with every block as its command prints it; it runs in the present folder."""

    def block(found: re.Match[str]) -> str:
        return f"{found[1]}\n{printed(found['command']).strip()}\n\n{found[4]}"

    return BLOCK.sub(block, report)


def printed(command: str) -> str:
    name, *words = shlex.split(command)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        if name == "rgan-table":
            table.run(table.parser().parse_args(words))
        elif name == "python":
            before, sys.argv = sys.argv, words
            try:
                runpy.run_path(words[0], run_name="__main__")
            finally:
                sys.argv = before
        else:
            raise ValueError(f"{command}: neither rgan-table nor python")
    return out.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path)
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    try:
        before = asked.report.read_text()
    except OSError as error:
        parser.error(f"{asked.report}: {error.strerror}")
    with contextlib.chdir(asked.report.parent):
        after = filled(before)
    if asked.check:
        lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), "report", "results", lineterm=""))
        print("\n".join(lines) or f"{asked.report}: as its results say")
        sys.exit(bool(lines))
    write_text_atomically(asked.report, after)


if __name__ == "__main__":
    main()
