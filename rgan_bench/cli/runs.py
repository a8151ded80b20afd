"""rgan-runs: the runs in folders: listed, looked at, cleaned up, made again."""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rgan_bench.cli.arguments import add_version, seconds
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
        usage="%(prog)s [OUTPUTS ...] [KEY=VALUE ...] [--sort COLUMN] [--reverse] [--json] [--watch [SECONDS]]\n"
        "       %(prog)s show RUN [OTHER] | rerun RUN [KEY=VALUE ...]\n"
        "       %(prog)s clean [OUTPUTS ...] [KEY=VALUE ...] | pack [OUTPUTS ...] [KEY=VALUE ...] --out FILE",
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
    add_version(parser)
    return parser


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
    from rgan_bench.catalogue.listing import as_json, console, put

    runs = listed(asked)
    if asked.json:
        sys.stdout.write(as_json(runs))
        return None
    on = console()
    put(on, *rendered(runs))
    for note in runs.notes():
        say(note)
    return None


def listed(asked: argparse.Namespace) -> "Runs":
    return gather(asked.what).sorted_by(asked.sort, reverse=asked.reverse)


def rendered(runs: "Runs") -> "list[RenderableType]":
    """The table; on a terminal also the line below it."""
    from rich.text import Text

    from rgan_bench.catalogue.listing import console, listing
    from rgan_bench.catalogue.overview import summary

    on = console()
    table, left_out = listing(runs, on)
    if not on.is_terminal:
        return [table]
    told = summary(runs) + f" (no room for: {', '.join(left_out)})" * bool(left_out)
    return [table, Text(told, style="dim")]


def watch(asked: argparse.Namespace) -> None:
    """Runs may come later, and a file may be read while another program replaces it: what is wrong is shown, and tried
    again."""
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    from rgan_bench.catalogue.listing import console, put

    if asked.json:
        raise UserError("--watch --json: a list that is renewed is for people; leave out one of them")

    def now() -> Group:
        try:
            runs = listed(asked)
            # What matters most comes first: a list that is longer than the terminal is cut off below.
            return Group(*reversed(rendered(runs)), *(Text(note, style="dim") for note in runs.notes()))
        except UserError as error:
            return Group(Text(one_line(error)))

    on = console()
    try:
        if not on.is_terminal:
            while True:
                put(on, now())
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


# --- one run ----------------------------------------------------------------------------------------------------------


def run_parser(command: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"rgan-runs {command}", description=description)
    parser.add_argument(
        "run", metavar="RUN", help="its folder, or its name below OUTPUTS, or an unambiguous part of it"
    )
    parser.add_argument("--outputs", type=Path, action="append", metavar="DIR",
        help="folders in which runs are looked for by name (default: outputs); may be given several times")  # fmt: skip
    return parser


def show(arguments: list[str]) -> None:
    parser = run_parser(
        "show", "How a run stands, its settings, scores and curves; and in what another differs from it."
    )
    parser.add_argument("other", nargs="?", metavar="OTHER", help="another run, to compare with")
    parser.add_argument("--config", action="store_true", help="all settings, not only those that are not the defaults")
    asked = parser.parse_args(arguments)

    from rgan_bench.catalogue import showing
    from rgan_bench.catalogue.finding import find_one
    from rgan_bench.catalogue.listing import console

    run, other = (name and find_one(name, places(asked)) for name in (asked.run, asked.other))
    showing.show(run, other, console(), whole_config=asked.config)


def rerun(arguments: list[str]) -> None:
    parser = run_parser(
        "rerun",
        "Prints the command that makes a run, or goes on with it; that in its result.json, or one from its settings. "
        "Where that would train in another folder, stderr says so.",
    )
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE", help="settings to change: train.iterations=200000")
    asked = parser.parse_intermixed_args(arguments)

    from rgan_bench.catalogue.command import command_of
    from rgan_bench.catalogue.finding import find_one

    command = command_of(find_one(asked.run, places(asked)), asked.changes)
    print(command)
    for note in command.notes:
        say(note)


def places(asked: argparse.Namespace) -> list[Path]:
    """Where runs are looked for by name."""
    return asked.outputs or [place for place in [Path("outputs")] if place.is_dir()]


def pack(arguments: list[str]) -> None:
    about = "Writes the result.json of runs into one file, to publish it or hand it on: rgan-table FILE makes their "
    about += "tables, rgan-table FILE/FOLDER those of some. Of absolute paths only the last part stays."
    parser = argparse.ArgumentParser(prog="rgan-runs pack", description=about)
    parser.add_argument("what", nargs="*", metavar="OUTPUTS | KEY=VALUE",
        help="folders that hold runs (default: outputs); only runs with this value, as of rgan-runs")  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="whose name ends in .json")
    asked = parser.parse_args(arguments)
    if asked.out.suffix != ".json" or asked.out.name == "result.json":
        raise UserError(f"--out {asked.out}: the name must end in .json, and not be result.json, which is one run's")

    from rgan_bench.catalogue import packing
    from rgan_bench.files import write_text_atomically
    from rgan_bench.report.parts import printable

    runs = gather(asked.what)
    text = packing.pack(runs, [Path(place) for place in split(asked.what)[0] or ("outputs",)])
    try:
        write_text_atomically(asked.out, text)
    except OSError as error:
        raise UserError(f"--out {printable(asked.out)}: cannot be written ({printable(one_line(error))})") from error
    say(f"{len(runs)} run{'s' * (len(runs) != 1)}: {printable(asked.out)}")


# --- cleaning up ------------------------------------------------------------------------------------------------------


def clean(arguments: list[str]) -> None:
    asked = clean_parser().parse_intermixed_args(arguments)

    from rich.filesize import decimal

    from rgan_bench.catalogue.cleaning import Policy, plan, remove, sweeps_below
    from rgan_bench.catalogue.listing import console, grid, put
    from rgan_bench.report.parts import printable

    policy = Policy(asked.keep, asked.samples, asked.runs, asked.sweeps)
    runs = gather(asked.what).sorted_by()
    planned = [found for run in runs if (found := plan(run, policy))]
    if policy.sweeps:
        planned += sweeps_below([Path(place) for place in split(asked.what)[0] or ("outputs",)])
    failures = []
    if asked.yes:
        went = []
        for each in planned:
            gone, why = remove(each, policy)
            went += [gone] if gone else []
            failures += [f"{printable(each.folder)}: not cleaned up ({why})"] if why else []
        planned = went
    if planned:
        rows = [[printable(each.folder), each.told(), decimal(each.bytes)] for each in planned]
        put(console(), grid((("folder", False), ("freed" if asked.yes else "would go", False), ("", True)), rows))
    total = decimal(sum(each.bytes for each in planned))
    if not planned and not failures:
        say("nothing to remove")
    else:
        say(f"{total} freed" if asked.yes else f"{total} would be freed; --yes removes it")
    for held, why in ((True, "running"), (None, "on a file system without locks, where it cannot be told who runs")):
        count = sum(run.held is held for run in runs)
        if count:
            say(f"left alone: {count} run{'s' * (count != 1)} {why}")
    for failure in failures:
        say(failure)
    if failures:
        sys.exit(2)


def clean_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rgan-runs clean",
        description="Says what of runs may go and how much that frees; removes it with --yes.",
        epilog="Of finished runs whose last.pt is whole: periodic checkpoints, previous.pt, checkpoints that were set "
        "aside as damaged, half-written files. Never result.json, metrics.jsonl, last.pt, nor anything of a run that "
        "is unfinished, or that a process holds; nothing that links lead to.",
    )
    add = parser.add_argument
    add("what", nargs="*", metavar="OUTPUTS | KEY=VALUE",
        help="folders that hold runs (default: outputs); only runs with this value, as of rgan-runs")  # fmt: skip
    add("--yes", action="store_true", help="remove it")
    add("--keep", type=whole_number, default=0, metavar="N",
        help="keep so many periodic checkpoints of each run, the newest (default: 0)")  # fmt: skip
    add("--samples", action="store_true", help="also sample grids, but the last of each generator")
    add("--runs", action="store_true",
        help="also whole folders of runs that ended before any checkpoint and any score but that of the untrained "
        "generator, if they hold nothing but what rgan-train writes")  # fmt: skip
    add("--sweeps", action="store_true", help="also the bookkeeping of sweeps that have ended (multirun/…)")
    return parser


def whole_number(text: str) -> int:
    if int(text) < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return int(text)


COMMANDS: dict[str, Callable[[list[str]], None]] = {"show": show, "clean": clean, "rerun": rerun, "pack": pack}
