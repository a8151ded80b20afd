"""rgan-runs: the runs in folders: listed, looked at, cleaned up, made again."""

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rgan_bench.errors import UserError, one_line, shown_as_one_line
from rgan_bench.run.stops import interrupts_raise
from rgan_bench.streams import prepare_streams

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rgan_bench.catalogue import Runs


def main() -> None:
    prepare_streams(tolerant=False)
    with shown_as_one_line("rgan-runs"):
        command, arguments = COMMANDS.get(sys.argv[1] if sys.argv[1:] else "", list_runs), sys.argv[1:]
        interrupts_raise()
        command(arguments if command is list_runs else arguments[1:])


def list_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rgan-runs",
        usage="%(prog)s [OUTPUTS ...] [KEY=VALUE[,VALUE] ...] [--sort COLUMN] [--reverse] [--json] [--watch [SECONDS]]\n"
        "       %(prog)s show RUN [OTHER] | clean [OUTPUTS ...] [KEY=VALUE ...] | rerun RUN [KEY=VALUE ...]",
        description="Lists the runs in folders: what differs between them, how they stand, last and best score.",
        epilog="A run is running while a process holds its folder; killed, if result.json says running and none does. "
        "`rgan-runs show --help` and so on tell of the other commands; ./show is a folder of that name.",
    )
    add = parser.add_argument
    add("what", nargs="*", metavar="OUTPUTS | KEY=VALUE",
        help="folders that hold runs, at any depth (default: outputs); only runs with this value of a column or a key "
        "of the config: status=finished loss=rasgan,sgan optim.lr=1e-4")  # fmt: skip
    add("--sort", metavar="COLUMN", help="or a key (default: by what differs between the runs)")
    add("--reverse", action="store_true", help="the other way round")
    add("--json", action="store_true", help="one JSON list, with the settings and the history of each run")
    add("--watch", type=seconds, nargs="?", const=5.0, metavar="SECONDS",
        help="renew the list so often, until Ctrl-C (default: 5)")  # fmt: skip
    return parser


def seconds(text: str) -> float:
    value = float(text)
    if not 0.1 <= value <= 86_400:
        raise argparse.ArgumentTypeError(f"{text} is not between 0.1 and 86400 seconds")
    return value


def split(what: list[str]) -> tuple[list[str], list[str]]:
    """Places, and filters: what looks like KEY=VALUE and is no folder."""
    from rgan_bench.catalogue.choosing import is_filter

    filters = [each for each in what if is_filter(each) and not Path(each).is_dir()]
    return [each for each in what if each not in filters], filters


def gather(what: list[str]) -> "Runs":
    """
    Raises:
        UserError: there is no run, or none that is asked for.
    """
    from rgan_bench.catalogue import find
    from rgan_bench.report.parts import printable

    places, filters = split(what)
    runs = find(*places)
    if not runs:
        for problem in runs.problems:
            say(problem)
        raise UserError(f"{printable(' '.join(places) or 'outputs')}: no runs in there; rgan-train makes them")
    return runs.where(*filters) if filters else runs


def list_runs(arguments: list[str]) -> None:
    asked = list_parser().parse_intermixed_args(arguments)
    if asked.watch is not None:
        return watch(asked)
    from rgan_bench.catalogue.listing import as_json, console

    runs = listed(asked)
    if asked.json:
        sys.stdout.write(as_json(runs))
        return None
    on = console()
    on.print(*rendered(runs))
    for note in runs.notes():
        say(note)
    return None


def listed(asked: argparse.Namespace) -> "Runs":
    runs = gather(asked.what)
    runs = runs.sorted_by(asked.sort, reverse=asked.reverse) if asked.sort else runs.in_order()
    return type(runs)(reversed(runs)) if asked.reverse and not asked.sort else runs


def rendered(runs: "Runs") -> "list[RenderableType]":
    """The table; on a terminal also the line below it."""
    from rich.text import Text

    from rgan_bench.catalogue.listing import console, listing

    on = console()
    table, left_out = listing(runs, on)
    if not on.is_terminal:
        return [table]
    told = runs.summary() + f" (no room for: {', '.join(left_out)})" * bool(left_out)
    return [table, Text(told, style="dim")]


def watch(asked: argparse.Namespace) -> None:
    """Runs may come later, and a file may be read while another program replaces it: what is wrong is shown, and tried
    again."""
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    from rgan_bench.catalogue.listing import console

    if asked.json:
        raise UserError("--watch --json: a list that is renewed is for people; leave out one of them")

    def now() -> Group:
        try:
            runs = listed(asked)
            return Group(*rendered(runs), *(Text(note, style="dim") for note in runs.notes()))
        except UserError as error:
            return Group(Text(one_line(error)))

    on = console()
    try:
        if not on.is_terminal:
            while True:
                on.print(now())
                sys.stdout.flush()
                time.sleep(asked.watch)
        with Live(now(), console=on, auto_refresh=False, screen=False) as live:
            while True:
                time.sleep(asked.watch)
                live.update(now(), refresh=True)
    except KeyboardInterrupt:  # the only way out, and nothing wrong
        sys.exit(130)


def say(text: str) -> None:
    print(f"rgan-runs: {text}", file=sys.stderr, flush=True)


COMMANDS = {}
