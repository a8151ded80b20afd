"""rgan-fid: score checkpoints, run folders, or folders of images."""

import argparse
import json
import sys
from dataclasses import fields
from pathlib import Path

from rgan_bench import register
from rgan_bench.api.bench import Bench, failure
from rgan_bench.api.options import GENERATORS, Options, check, check_path, named
from rgan_bench.api.rows import print_table
from rgan_bench.cli.arguments import add_version
from rgan_bench.config.schema import FAMILIES
from rgan_bench.console import say
from rgan_bench.errors import UserError, shown_as_one_line
from rgan_bench.plugins import load_plugins
from rgan_bench.scoring.fid_json import Row
from rgan_bench.streams import prepare_streams


def main() -> None:
    prepare_streams(tolerant=False)
    with shown_as_one_line("rgan-fid"):
        run(parser().parse_args())


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rgan-fid",
        description="Score generators against real images. What is not said here is taken from each checkpoint's own "
        "config, so that `rgan-fid RUN` repeats the score of the run.",
    )
    add = parser.add_argument
    what = "a checkpoint, a run folder (its last checkpoint), or a folder or .zip of images (with --data)"
    add("paths", nargs="*", type=Path, metavar="PATH", help=what)
    add("--all", action="store_true", help="of a run folder, every checkpoint")
    add("--plugins", default="", metavar="P[,P]", help="modules or files that parts of the checkpoints come from")
    add("--ema", action="store_true", help="the moving averages of the generators (ema.half_life) instead")
    add("--features", metavar="F[,F]", help=f"extractors: {', '.join(register.names('extractor'))}")
    add("--metrics", metavar="M[,M]", help=f"what is computed from these features: {', '.join(FAMILIES)}")
    add("--weights", metavar="FILE", help="of inception or dinov2 (default: the published ones, downloaded once)")
    add("--data", metavar="D", help="the real images: cifar10, demo, shapes, or a folder or .zip of images")
    add("--real-stats", type=Path, metavar="FILE", help="a .npz of mu and sigma in place of real images")
    add("--write-real-stats", type=Path, metavar="FILE", help="write such a file of --data and --features; no PATH")
    add("--num-samples", type=int, metavar="N", help="fakes to draw from each generator")
    add("--sampling-seeds", type=int, metavar="N", help="draw each score so many times, for its mean and SD")
    add("--num-real", type=int, metavar="N", help="real images (default: all)")
    add("--batch-norm", choices=("batch", "running"), help="batch: batch statistics, as the paper sampled")
    add("--batch-size", type=int, metavar="N", help="images drawn at a time")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    add("--json", action="store_true", help="print one JSON list, and nothing else, on stdout; errors are entries too")
    add_version(parser)
    return parser


def run(arguments: argparse.Namespace) -> None:
    load_plugins(filter(None, arguments.plugins.split(",")))
    for option in ("features", "metrics"):
        if getattr(arguments, option) is not None:
            setattr(arguments, option, getattr(arguments, option).split(","))
    options = Options(**{each.name: getattr(arguments, each.name) for each in fields(Options)})
    check(options)
    if arguments.write_real_stats is not None:
        check_writing(arguments)
        Bench(options).write_real_statistics(arguments.write_real_stats)
        return
    if not arguments.paths:
        raise UserError("PATH: name what to score: a checkpoint, a run folder, or images")
    # What can be seen to be wrong is said before the long work starts; the other paths are scored all the same.
    refused: dict[Path, list[Row]] = {}
    for path in arguments.paths:
        try:
            check_path(path, options)
        except Exception as error:
            refused[path] = failure(path, error)
    if set(arguments.paths) - set(refused) and "torch" not in sys.modules:
        say("rgan-fid: loading PyTorch")
    bench = Bench(options) if set(arguments.paths) - set(refused) else None
    rows: list[Row] = []
    for path in arguments.paths:
        rows += bench.rows(path) if bench is not None and path not in refused else refused[path]
    if arguments.json:
        print(json.dumps(rows, indent=2, allow_nan=False))
    elif scored := [row for row in rows if "error" not in row]:
        print_table(scored)
    if any("error" in row for row in rows):
        sys.exit(2)


def check_writing(arguments: argparse.Namespace) -> None:
    what = f"--write-real-stats {arguments.write_real_stats}"
    if arguments.data is None or len(arguments.features or []) != 1:
        raise UserError(f"{what}: of which images and features? Add --data D and --features F, one of each")
    for option in ("paths", "all", "ema", *GENERATORS, "metrics", "real_stats", "json"):
        if getattr(arguments, option):
            raise UserError(
                f"{what}: nothing is scored then; leave out {'PATH' if option == 'paths' else named(option)}"
            )
    if arguments.write_real_stats.suffix != ".npz":
        raise UserError(f"{what}: its name must end in .npz, by which other tools know such a file")
    if arguments.write_real_stats.exists() or not arguments.write_real_stats.absolute().parent.is_dir():
        raise UserError(f"{what}: is there already, or its folder is not; choose another name")
