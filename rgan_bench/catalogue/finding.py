"""Run folders at or below places, and the one that somebody means."""

import os
from collections.abc import Iterable
from pathlib import Path

from rgan_bench.catalogue.entry import PARTS, FoundRun, read_entry
from rgan_bench.catalogue.runs import Runs
from rgan_bench.errors import UserError
from rgan_bench.report.parts import printable
from rgan_bench.report.reading import is_there

MOST_NAMED = 8  # candidates in a message


def find(*places: str | Path) -> Runs:
    """All runs at or below folders, at any depth, in whatever state. Links to folders are not followed.

    Args:
        places: default: outputs.

    Returns:
        By their names; empty: there are none.

    Raises:
        UserError: a place is not there.
    """
    problems: list[str] = []
    folders = run_folders(map(Path, places or ("outputs",)), problems)
    return Runs(map(read_entry, folders), problems)


def run_folders(places: Iterable[Path], problems: list[str]) -> list[Path]:
    """
    Args:
        problems: gets a line for each folder that cannot be searched.

    Raises:
        UserError: a place is not there.
    """
    found: dict[str, Path] = {}

    def cannot(error: OSError) -> None:
        problems.append(f"{printable(error.filename)}: cannot be searched ({error.strerror})")

    for place in places:
        if not is_there(place):
            raise UserError(f"{printable(place)}: there is no such folder; name folders that hold runs")
        if place.name == "result.json":
            place = place.parent
        elif place.is_file():
            raise UserError(f"{printable(place)}: is a file; runs lie in folders (what is packed, rgan-table reads)")
        for folder, folders, files in os.walk(place, onerror=cannot):
            folders.sort()
            if is_run(Path(folder), folders, files):
                found.setdefault(os.path.realpath(folder), Path(folder))
                folders[:] = [name for name in folders if name not in PARTS]
    return list(found.values())


def is_run(path: Path, folders: list[str], files: list[str]) -> bool:
    """Whether it has a result.json, or what rgan-train makes before it."""
    if "result.json" in files or "result.json" in folders:
        return True
    return "checkpoints" in folders and (".lock" in files or any((path / "checkpoints").glob("*.pt")))


def find_one(name: str, places: Iterable[Path]) -> FoundRun:
    """The run that a path, a folder's name or a part of one means.

    Raises:
        UserError: none or several.
    """
    problems: list[str] = []
    path = Path(name)
    if path.is_dir() or path.is_file():
        folder = path if path.is_dir() else path.parent
        for candidate in (folder, folder.parent):  # a file in it, a file in its checkpoints/
            if is_run(candidate, *names_in(candidate)):
                return read_entry(candidate)
    folders = run_folders(places, problems)
    exact = [folder for folder in folders if folder.absolute().name == name]
    found = exact or [folder for folder in folders if name in folder.absolute().name]
    if len(found) == 1:
        return read_entry(found[0])
    below = " ".join(map(printable, places)) or "outputs"
    if not found and path.exists():
        raise UserError(f"{printable(name)}: is no run folder: it has no result.json and no checkpoints")
    if not found:
        some = f"they are {shown(folders)}" if folders else "there are none"
        raise UserError(f"{printable(name)}: no run below {below} has this in its name; {some}")
    raise UserError(
        f"{printable(name)}: {len(found)} runs below {below} are called so: {shown(found)}; write more of it"
    )


def names_in(path: Path) -> tuple[list[str], list[str]]:
    """Names of the folders and of the files in a folder."""
    _, folders, files = next(os.walk(path), ("", [], []))
    return folders, files


def shown(folders: list[Path]) -> str:
    names = [folder.absolute().name for folder in folders]
    labels = [name if names.count(name) == 1 else str(folder) for name, folder in zip(names, folders, strict=True)]
    more = f" and {len(labels) - MOST_NAMED} more" if len(labels) > MOST_NAMED else ""
    return ", ".join(map(printable, labels[:MOST_NAMED])) + more
