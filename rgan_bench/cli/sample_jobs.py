"""What rgan-sample is asked for: which files come from which checkpoints. Says what is wrong before anything starts."""

import argparse
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rgan_bench.api.options import is_run_folder
from rgan_bench.config.ranges import CHECKS, at_least
from rgan_bench.errors import UserError, one_line
from rgan_bench.files import by_iteration

WHERE = ("out", "video", "export")
ENDINGS = {"out": (".zip", ".npz", ".png"), "video": (".gif", ".webp"), "export": (".safetensors", ".onnx")}
# What can be made → the options that say more about it; the others have no meaning for it.
OPTIONS = {
    "images": ("num", "seed", "all"),
    "a grid": ("grid", "num", "seed", "all"),  # num: of points, for a scatter plot
    "interpolations": ("interpolate", "steps", "seed", "all"),
    "a film of interpolations": ("interpolate", "steps", "grid", "seed"),
    "a film of a training": ("all", "grid", "num", "seed"),
    "an export": (),
}
MINIMA = {"num": 1, "seed": 0, "interpolate": 1, "steps": 2}
SIZES = {"a film of interpolations": (4, 4), "a film of a training": (8, 8)}  # of grids, where none is asked for


@dataclass(frozen=True)
class Job:
    """
    Attributes:
        what: of OPTIONS.
        sources: checkpoints or run folders; several are the frames of one film.
        target: the file that it is written to, or, of images, perhaps the folder.
        size: rows and columns of a grid; None: none was asked for.
    """

    what: str
    sources: list[Path]
    target: Path
    size: tuple[int, int] | None


def jobs_of(arguments: argparse.Namespace) -> list[Job]:
    """
    Raises:
        UserError: something is missing, has no meaning, or is there already.
    """
    for option, minimum in MINIMA.items():
        value = getattr(arguments, option)
        if value is not None and (complaint := at_least(minimum)(value)):
            raise UserError(f"--{option} {value}: {complaint}")
    if complaint := CHECKS["device"](arguments.device):
        raise UserError(f"--device {arguments.device}: {complaint}")
    what = _what(arguments)
    size = SIZES.get(what) if arguments.grid is None else _size(arguments.grid)
    jobs = _jobs(what, arguments, size)
    for target, count in Counter(job.target for job in jobs).items():
        if count > 1:
            raise UserError(f"{target}: {count} PATHs would be written there; call rgan-sample once for each")
    for job in jobs:
        _check_target(job, force=arguments.force)
    return jobs


def _what(arguments: argparse.Namespace) -> str:
    if not arguments.paths:
        raise UserError("PATH: name what to sample from: a checkpoint or a run folder")
    given = [option for option in WHERE if getattr(arguments, option) is not None]
    if len(given) != 1:
        found = "several were given" if given else "none was given"
        raise UserError(f"--out, --video, --export: name one of them, as in --out samples ({found})")
    (where,) = given
    path = getattr(arguments, where)
    known = ENDINGS[where]
    # A folder's name may well end in ".5".
    if path.suffix not in known and (where != "out" or (re.fullmatch(r"\.[A-Za-z]\w*", path.suffix))):
        folder = "a folder, or " if where == "out" else ""
        raise UserError(f"--{where} {path}: its ending is not known; {folder}one of: {', '.join(known)}")
    if where == "video":
        if arguments.all == (arguments.interpolate is not None):
            raise UserError(
                f"--video {path}: a film of what? Add --all (of a training) or --interpolate N (between latents)"
            )
        what = "a film of a training" if arguments.all else "a film of interpolations"
    elif where == "export":
        what = "an export"
    elif arguments.interpolate is not None:
        what = "interpolations"
    else:
        what = "a grid" if arguments.grid is not None or path.suffix == ".png" else "images"
    for option in ("num", "grid", "interpolate", "steps", "seed", "all"):
        if getattr(arguments, option) not in (None, False) and option not in OPTIONS[what]:
            raise UserError(f"--{option}: has no meaning for {what}; leave it out")
    if arguments.num is not None and arguments.grid is not None:
        raise UserError(f"--num {arguments.num}: --grid says how many already; leave out one of them")
    if what == "a film of interpolations" and arguments.interpolate < 2:
        raise UserError(f"--interpolate {arguments.interpolate}: a film goes round over 2 latents at least")
    if what in ("a grid", "interpolations") and path.suffix in (".zip", ".npz"):
        raise UserError(f"--out {path}: {what} would be one picture; name a .png or a folder")
    return what


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9]\d{0,3})[x×]([1-9]\d{0,3})", text)
    if not found:
        raise UserError(f"--grid {text}: must be ROWSxCOLS, as in 4x8")
    return int(found[1]), int(found[2])


def _jobs(what: str, arguments: argparse.Namespace, size: tuple[int, int] | None) -> list[Job]:
    paths: list[Path] = arguments.paths
    sources = {path: _sources(path, every=arguments.all) for path in paths}
    (target,) = (getattr(arguments, where) for where in WHERE if getattr(arguments, where) is not None)
    one_file = bool(target.suffix) and any(target.suffix in known for known in ENDINGS.values())
    film = what == "a film of a training"
    if one_file and (len(paths) > 1 or (arguments.all and not film)):
        several = "several PATHs" if len(paths) > 1 else "all checkpoints"
        folder = "name a folder with --out" if arguments.out is not None else "name one PATH"
        raise UserError(f"{target}: one file cannot hold what comes from {several}; {folder}")
    if film:
        return [Job(what, sources[paths[0]], target, size)]
    jobs = []
    for path in paths:
        for source in sources[path]:
            below = [_name(path)] if len(paths) > 1 else []
            below += [source.stem] if arguments.all else []
            place = target
            if not one_file and what != "images":  # a picture in a folder
                *folders, name = below or [_name(path)]
                place = target.joinpath(*folders, f"{name}.png")
            elif not one_file:
                place = target.joinpath(*below)
            jobs.append(Job(what, [source], place, size))
    return jobs


def _sources(path: Path, *, every: bool) -> list[Path]:
    try:
        if not path.exists():
            raise UserError(f"{path}: there is no such file or folder")
        folder = path / "checkpoints"
        if not path.is_dir():
            if every:
                raise UserError(f"--all: {path} is one file; name its run folder")
            return [path]
        if not is_run_folder(path):
            raise UserError(f"{path}: no run folder (it has no checkpoints/); name one, or a checkpoint (.pt)")
        if not every:
            if not any((folder / name).exists() for name in ("last.pt", "previous.pt")):
                raise UserError(f"{folder / 'last.pt'}: there is no such checkpoint")
            return [path]
        found = by_iteration(folder, ".pt")
    except OSError as error:
        raise UserError(f"{path}: cannot be opened ({one_line(error)})") from error
    if not found:
        raise UserError(
            f"{path}: has no checkpoints/iter_*.pt; a run keeps them with train.checkpoint_every=N and train.keep=null"
        )
    return found


def _name(path: Path) -> str:
    """Of what is made from it, among others: the run's, of a checkpoint with its own added."""
    whole = path.absolute()
    if path.is_dir():
        return whole.resolve().name
    run = f"{whole.parent.parent.name}_" if whole.parent.name == "checkpoints" else ""
    return run + path.stem


def _check_target(job: Job, *, force: bool) -> None:
    target = job.target
    folder = job.what == "images" and target.suffix not in ENDINGS["out"]
    try:
        there = target.exists() or target.is_symlink()
        if there and target.is_dir() != folder:
            raise UserError(f"{target}: is there already, and {'no' if folder else 'a'} folder; choose another name")
        if there and not force and (not folder or any(target.iterdir())):
            full = ", and not empty" if folder else ""
            raise UserError(f"{target}: is there already{full}; choose another name, or add --force to overwrite it")
    except OSError as error:
        raise UserError(f"{target}: cannot be opened ({one_line(error)})") from error
