"""rgan-prepare-cat: the CAT photos → aligned faces at 64, 128 and 256."""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rgan_bench.cli.arguments import add_version
from rgan_bench.config.validate import root_defaults
from rgan_bench.errors import UserError, shown_as_one_line
from rgan_bench.files import reason
from rgan_bench.locks import Busy, held
from rgan_bench.run.stops import interrupts_raise
from rgan_bench.streams import prepare_streams

if TYPE_CHECKING:
    from rgan_bench.data.cat.prepare import Outcome
    from rgan_bench.data.cat.source import CatFiles

DOWNLOADS = Path("data") / "cat_dataset"
MOST_WORKERS = 1024  # systems bound the number of threads


def main() -> None:
    prepare_streams(tolerant=False)
    with shown_as_one_line("rgan-prepare-cat"):
        run(parser().parse_args())


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rgan-prepare-cat",
        description="Aligns and crops the photos of the CAT data set as arXiv 1807.00734 did. May be interrupted and "
        "called again: finished files are kept.",
    )
    add = parser.add_argument
    what = f"CAT's zips or unpacked folders, in any nesting (with --download: where to; default {DOWNLOADS})"
    add("--source", nargs="+", type=Path, metavar="PATH", help=what)
    add("--out", type=Path, default=Path("data") / "cat", help="gets a folder a size (default: data/cat)")
    add("--sizes", nargs="+", type=int, default=[64, 128, 256], metavar="N", help="default: 64 128 256")
    add("--download", action="store_true", help="fetch the archives from archive.org first (about 2 GB)")
    add("--keep-outliers", action="store_true", help="keep the 134 photos that the paper's author left out by hand")
    add("--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="threads (default: all cores)")
    add("--format", choices=("png", "jpeg"), default="png", help="jpeg is what the author stored (default: png)")
    add_version(parser)
    return parser


def run(arguments: argparse.Namespace) -> None:
    sources = check(arguments)
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        raise UserError(f"{error}; install the extra: pip install 'rgan-bench[cat]'") from error
    from tqdm import tqdm

    from rgan_bench.data.cat.download import download
    from rgan_bench.data.cat.prepare import Job, prepare, write_report
    from rgan_bench.data.cat.source import find_files, outliers

    interrupts_raise()
    if arguments.download:
        with alone("--source" if arguments.source else "--download", sources[0]):
            download(sources[0])
    limits = root_defaults()["limits"]
    files = find_files(sources, limits["file_bytes"])
    if arguments.format == "jpeg":
        check_apart(arguments.out, sources)
    sizes = tuple(sorted(set(arguments.sizes)))
    job = Job(arguments.out, sizes, arguments.format, limits["image_pixels"])
    left_out = frozenset() if arguments.keep_outliers else outliers()
    with alone("--out", arguments.out):
        found = prepare(files, job, left_out, arguments.workers)
        progress = tqdm(found, total=len(files.photos), unit="photo", disable=None)
        outcomes = [outcome for of_one_name in progress for outcome in of_one_name]
        write_report(arguments.out / "report.csv", outcomes)
    print_summary(files, outcomes, job.sizes, arguments.out)


@contextmanager
def alone(option: str, folder: Path) -> Iterator[None]:
    """Makes the folder, and holds it within the block: two that write into one would remove each other's files.

    Raises:
        UserError: another process holds it, or it cannot be made.
    """
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(held(folder / ".lock"))
        except Busy as busy:
            raise UserError(f"{option} {folder}: {busy} is at work there; wait for it, or choose another") from busy
        except OSError as error:
            raise UserError(f"{option} {folder}: cannot make it or write into it ({reason(error)})") from error
        yield


def check(arguments: argparse.Namespace) -> list[Path]:
    """The sources; refuses what cannot work before anything is fetched or written."""
    for option, values in (("sizes", arguments.sizes), ("workers", [arguments.workers])):
        for value in values:
            if value < 1:
                raise UserError(f"--{option} {value}: must be at least 1")
    if arguments.workers > MOST_WORKERS:
        raise UserError(f"--workers {arguments.workers}: must be at most {MOST_WORKERS}; more than cores do not help")
    if arguments.source:
        if arguments.download and len(arguments.source) > 1:
            raise UserError("--download: puts the archives into one folder; give one --source, or none")
        sources: list[Path] = arguments.source
        return sources
    if not arguments.download and not DOWNLOADS.exists():
        raise UserError(
            "--source: say where CAT's archives or folders are, or fetch them with --download "
            "(archive.org item CAT_DATASET; Kaggle's crawford/cat-dataset holds the same folders)"
        )
    return [DOWNLOADS]


def check_apart(out: Path, sources: list[Path]) -> None:
    """
    Raises:
        UserError: `out` lies in a source, where its .jpg would be taken for photos by the next call.
    """
    real = Path(os.path.realpath(out))
    for source in sources:
        if Path(os.path.realpath(source)) in (real, *real.parents):
            raise UserError(
                f"--out {out}: lies in --source {source}, where the next call would take its .jpg for photos; choose "
                "another --out, or --format png"
            )


def print_summary(files: "CatFiles", outcomes: list["Outcome"], sizes: tuple[int, ...], out: Path) -> None:
    from rgan_bench.data.cat.prepare import EXPECTED, STATUSES, count_kept

    counts = Counter(outcome.status for outcome in outcomes)
    too_small = sum(outcome.status == "kept" and not outcome.sizes for outcome in outcomes)
    rows: list[tuple[str, int, int | None]]
    rows = [("photos found", len(outcomes), None), ("annotations repaired", len(files.repaired), None)]
    rows += [(f"photos: {status}", counts[status], None) for status in STATUSES if status != "kept"]
    rows += [("photos: crop below every size", too_small, None)]
    kept = count_kept(outcomes, sizes)
    rows += [(f"kept at {size}×{size}", kept[size], EXPECTED.get(size)) for size in sizes]
    print(f"{'':<32}{'here':>8}{'paper':>8}")
    for name, here, paper in rows:
        print(f"{name:<32}{here:>8,}{'' if paper is None else f'{paper:,}':>8}")
    print(f"images in {out}, every photo's fate in {out / 'report.csv'}")
    different = [size for size in sizes if size in EXPECTED and kept[size] != EXPECTED[size]]
    if different:
        names = ", ".join(f"{size}×{size}" for size in different)
        print(
            f"rgan-prepare-cat: warning: other numbers than the paper's at {names}; scores on these images cannot be "
            "set beside the paper's",
            file=sys.stderr,
        )
