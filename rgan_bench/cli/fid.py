"""rgan-fid: score checkpoints, run folders, or folders of images."""

import argparse
import json
import sys
from pathlib import Path

from rgan_bench import register
from rgan_bench.cli.fid_bench import Bench, attempt, is_checkpoint, is_run_folder, no_periodic, reference
from rgan_bench.cli.fid_rows import print_table
from rgan_bench.config.ranges import CHECKS
from rgan_bench.config.schema import FAMILIES
from rgan_bench.errors import UserError, shown_as_one_line
from rgan_bench.plugins import load_plugins
from rgan_bench.scoring.fid_json import Row
from rgan_bench.streams import prepare_streams

# Options that say how generators are sampled.
GENERATORS = ("num_samples", "batch_norm", "sampling_seeds")


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
    return parser


def run(arguments: argparse.Namespace) -> None:
    load_plugins(filter(None, arguments.plugins.split(",")))
    check(arguments)
    if arguments.write_real_stats is not None:
        Bench(arguments).write_real_statistics(arguments.write_real_stats)
        return
    # What can be seen to be wrong is said before the long work starts; the other paths are scored all the same.
    refused = {path: found for path in arguments.paths if (found := attempt(path, check_path, path, arguments))}
    bench = Bench(arguments) if set(arguments.paths) - set(refused) else None
    rows: list[Row] = []
    for path in arguments.paths:
        rows += bench.rows(path) if bench is not None and path not in refused else refused[path]
    if arguments.json:
        print(json.dumps(rows, indent=2, allow_nan=False))
    elif scored := [row for row in rows if "error" not in row]:
        print_table(scored)
    if any("error" in row for row in rows):
        sys.exit(2)


def check(arguments: argparse.Namespace) -> None:
    """The ranges of `rgan-train`'s fid keys, that the real images are there, and what options mean together."""
    lists = ("features", "metrics")
    for option in lists:
        if getattr(arguments, option) is not None:
            setattr(arguments, option, getattr(arguments, option).split(","))
    for option in (*lists, "num_samples", "num_real", "batch_size", "sampling_seeds", "device"):
        value = getattr(arguments, option)
        complaint = CHECKS["device" if option == "device" else f"fid.{option}"](value) if value is not None else None
        if complaint:
            shown = ",".join(value) if option in lists else value
            raise UserError(f"--{option.replace('_', '-')} {shown}: {complaint}")
    reference(arguments.data)
    if arguments.write_real_stats is not None:
        check_writing(arguments)
    elif not arguments.paths:
        raise UserError("PATH: name what to score: a checkpoint, a run folder, or images")
    for option in ("data", "num_real"):
        if arguments.real_stats is not None and getattr(arguments, option) is not None:
            raise UserError(
                f"--real-stats {arguments.real_stats}: stands in place of real images; leave out "
                f"--{option.replace('_', '-')}"
            )


def check_writing(arguments: argparse.Namespace) -> None:
    what = f"--write-real-stats {arguments.write_real_stats}"
    if arguments.data is None or len(arguments.features or []) != 1:
        raise UserError(f"{what}: of which images and features? Add --data D and --features F, one of each")
    for option in ("paths", "all", "ema", *GENERATORS, "metrics", "real_stats", "json"):
        if getattr(arguments, option):
            name = "PATH" if option == "paths" else f"--{option.replace('_', '-')}"
            raise UserError(f"{what}: nothing is scored then; leave out {name}")
    if arguments.write_real_stats.suffix != ".npz":
        raise UserError(f"{what}: its name must end in .npz, by which other tools know such a file")
    if arguments.write_real_stats.exists() or not arguments.write_real_stats.absolute().parent.is_dir():
        raise UserError(f"{what}: is there already, or its folder is not; choose another name")


def check_path(path: Path, arguments: argparse.Namespace) -> list[Row]:
    """That there is something, that it can be scored, and that no option is without a meaning for it.

    Raises:
        OSError, UserError: there is not.
    """
    if not path.exists():
        raise UserError(f"{path}: there is no such file or folder")
    if is_run_folder(path):
        folder = path / "checkpoints"
        if arguments.all and not any(folder.glob("iter_*.pt")):
            raise no_periodic(path)
        if not arguments.all and not any((folder / name).exists() for name in ("last.pt", "previous.pt")):
            raise UserError(f"{folder / 'last.pt'}: there is no such checkpoint")
    elif not is_checkpoint(path):
        if arguments.data is None and arguments.real_stats is None:
            raise UserError(
                f"{path}: neither a checkpoint (.pt) nor a run folder; to score it as images, "
                "name the real ones with --data"
            )
        for option in (*GENERATORS, "ema"):
            if getattr(arguments, option) not in (None, False):
                raise UserError(
                    f"{path}: holds images, and all of them are scored as they are; leave out "
                    f"--{option.replace('_', '-')}, which is for generators"
                )
    return []
