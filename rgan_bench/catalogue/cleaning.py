"""What of runs may go, and its removal. Conservative: what cannot be made again, or may be in use, stays."""

import contextlib
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from zipfile import is_zipfile

from rgan_bench.catalogue.entry import PARTS, FoundRun, measure, read_entry
from rgan_bench.errors import one_line
from rgan_bench.files import by_iteration, reason
from rgan_bench.locks import Busy, held
from rgan_bench.report.parts import printable
from rgan_bench.run.folder import RunFolder

# All that rgan-train puts into a run folder; one that holds more is somebody's, and never removed as a whole.
RUN_FILES = ("result.json", "metrics.jsonl", ".lock", *PARTS, ".*.tmp")
SWEEP_FILES = ("cells.json", "cell_*.json", "multirun.yaml", ".lock", "stopped", ".*.tmp")
SWEEP = "bookkeeping of a sweep"
LEFTOVERS = (".*.tmp", ".last.pt.*", ".writable", "*.pt.damaged")


@dataclass(frozen=True)
class Policy:
    """
    Attributes:
        keep: so many periodic checkpoints of a finished run stay, the newest.
        samples: whether sample grids of finished runs go, but the last.
        runs: whether whole folders go of runs that came to no score of a trained generator and to no checkpoint.
        sweeps: whether the bookkeeping of sweeps that have ended goes.
    """

    keep: int = 0
    samples: bool = False
    runs: bool = False
    sweeps: bool = False


@dataclass(frozen=True)
class Removal:
    """What may go of one folder.

    Attributes:
        what: kind → paths; a path that is a folder goes as a whole.
        bytes: that become free.
    """

    folder: Path
    what: dict[str, list[Path]]
    bytes: int

    def told(self) -> str:
        """ "3 periodic checkpoints, previous.pt"."""
        return ", ".join(kind if len(paths) == 1 else f"{len(paths)} × {kind}" for kind, paths in self.what.items())


def plan(run: FoundRun, policy: Policy) -> Removal | None:
    """What may go of a run; None: nothing. Of one that runs, or of which that cannot be told, nothing may."""
    if run.held is not False:
        return None
    if policy.runs and never_began(run):
        return Removal(run.path, {"the whole folder": [run.path]}, run.bytes)
    folder = RunFolder(run.path)
    if run.run is None or run.status != "finished" or not is_whole(folder.checkpoints / "last.pt"):
        return None
    periodic = by_iteration(folder.checkpoints, ".pt")
    what = {
        "periodic checkpoint": periodic[: max(0, len(periodic) - policy.keep)],
        "previous.pt": [folder.checkpoints / "previous.pt"],
        "leftover": [
            path
            for place in (run.path, *(run.path / name for name in PARTS))
            for path in files_in(place)
            if any(fnmatch(path.name, pattern) for pattern in LEFTOVERS)
        ],
    }
    if policy.samples:
        what["sample grid"] = [path for which in ("raw", "ema") for path in folder.grids(which)[:-1]]
    # Regular files in real folders: what links lead to is not ours.
    parents = {path.parent for paths in what.values() for path in paths}
    there = {path: size for parent in parents for path, size in files_in(parent).items()}
    what = {kind: found for kind, paths in what.items() if (found := [path for path in paths if path in there])}
    return Removal(run.path, what, freed(there[path] for paths in what.values() for path in paths)) if what else None


def freed(files: Iterable[os.stat_result]) -> int:
    """Bytes that become free when these names go: a file that has another name besides stays."""
    names = [(status.st_dev, status.st_ino, status.st_nlink, status.st_size) for status in files]
    return sum(size for (_, _, links, size), count in Counter(names).items() if count >= links)


def files_in(folder: Path) -> dict[Path, os.stat_result]:
    """Regular files in a folder that is no link → what the system says of them."""
    with contextlib.suppress(OSError):
        if not folder.is_symlink():
            with os.scandir(folder) as listing:
                files = [each for each in listing if each.is_file(follow_symlinks=False)]
                return {folder / each.name: each.stat(follow_symlinks=False) for each in files}
    return {}


def is_whole(checkpoint: Path) -> bool:
    """Whether it is there, and not cut off: torch's files end with their table of contents."""
    with contextlib.suppress(OSError):
        return checkpoint in files_in(checkpoint.parent) and is_zipfile(checkpoint)
    return False


def never_began(run: FoundRun) -> bool:
    """Whether nothing would be lost: no checkpoint, no score but of the untrained generator, and no file of others.

    That a run diverged is a result.
    """
    if run.status not in ("interrupted", "failed", "killed", "no result"):
        return False
    scores = (*run.run.scores.values(), *run.run.others) if run.run else ()
    with contextlib.suppress(OSError):
        return (
            not any((run.path / "checkpoints").iterdir())
            and all(score.final[0] == 0 for score in scores)
            and holds_only(run.path, RUN_FILES)
        )
    return False


def holds_only(folder: Path, names: Sequence[str]) -> bool:
    with os.scandir(folder) as listing:
        return all(any(fnmatch(each.name, name) for name in names) and not each.is_symlink() for each in listing)


def sweeps_below(places: Sequence[Path]) -> Iterator[Removal]:
    """The bookkeeping of sweeps that have ended."""
    for place in places:
        for folder, folders, files in os.walk(place):
            path = Path(folder)
            if "cells.json" in files and not folders and not path.is_symlink() and holds_only(path, SWEEP_FILES):
                yield Removal(path, {SWEEP: [path]}, measure(path)[0])


def remove(planned: Removal, policy: Policy) -> tuple[Removal | None, str]:
    """What is planned, if that may still go, while no other process can work in the folder.

    Returns:
        (what went; None: nothing, why the rest did not; empty: all went).
    """
    try:
        with held(planned.folder / ".lock"):
            now: Removal | None = planned
            if SWEEP not in planned.what:  # a run may have gone on in the meantime
                now = plan(read_entry(planned.folder, ours=True), policy)
            elif not holds_only(planned.folder, SWEEP_FILES):
                now = None
            if now is None:
                return None, "it has changed"
            planned = now
            for path in (path for paths in planned.what.values() for path in paths):
                if path == planned.folder:
                    shutil.rmtree(path)
                else:
                    path.unlink()
    except Busy as error:
        return None, f"held by {printable(error)}"
    except OSError as error:
        return None, f"{printable(error.filename or planned.folder)}: {one_line(reason(error))}"
    return planned, ""
