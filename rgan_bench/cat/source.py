"""The photos and annotations of CAT, wherever they lie: folders and zips in any nesting."""

import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from pathlib import Path, PurePosixPath
from threading import Lock

from rgan_bench.errors import UserError, one_line
from rgan_bench.files import read_bounded, read_member

# The published archives annotate a photo that is not theirs, and lack one annotation, which is published beside them.
STRAY_ANNOTATION = "00000003_019.jpg.cat"
ADDED_ANNOTATION = "00000003_015.jpg.cat"

Reader = Callable[[], bytes]


@dataclass
class CatFiles:
    """Names → how to read them. Names are those of the files, without folders: CAT's are unique.

    Attributes:
        photos: `NAME.jpg`.
        annotations: `NAME.jpg.cat`.
        repaired: names of annotations dropped and added.
    """

    photos: dict[str, Reader] = field(default_factory=dict)
    annotations: dict[str, Reader] = field(default_factory=dict)
    repaired: list[str] = field(default_factory=list)


def find_files(sources: Iterable[Path], max_bytes: int) -> CatFiles:
    """Looks through folders and zips; applies the known repair.

    Args:
        max_bytes: of a photo or annotation; reading a larger one fails with a ValueError before it is unpacked.

    Raises:
        UserError: a source is not there or not readable, or there are no photos in any.
    """
    sources = list(sources)
    found = CatFiles()
    for source in sources:
        if not source.exists():
            raise UserError(f"--source {source}: there is no such folder or .zip; --download fetches the archives")
        if source.is_dir():
            for path in sorted(source.rglob("*")):
                if path.suffix.lower() == ".zip":
                    _add_zip(found, path, max_bytes)
                elif path.is_file():
                    _add(found, path.name, partial(read_bounded, path, max_bytes))
        else:
            _add_zip(found, source, max_bytes)
    if not found.photos:
        names = " ".join(map(str, sources))
        raise UserError(f"--source {names}: no photos (*.jpg) in there; give CAT's archives or folders CAT_00 … CAT_06")
    _repair(found)
    return found


def outliers() -> frozenset[str]:
    """The 134 photos that the paper's author left out by hand."""
    return frozenset(files("rgan_bench.cat").joinpath("outliers.txt").read_text().split())


def _repair(found: CatFiles) -> None:
    if found.annotations.pop(STRAY_ANNOTATION, None) is not None:
        found.repaired.append(f"{STRAY_ANNOTATION} dropped")
    if ADDED_ANNOTATION in found.annotations:
        found.repaired.append(f"{ADDED_ANNOTATION} added")


def _add_zip(found: CatFiles, path: Path, max_bytes: int) -> None:
    try:
        archive = zipfile.ZipFile(path)  # stays open: photos are read from it while threads work
        names = archive.namelist()
    except Exception as error:  # what the directory of a broken archive says can fail in many ways
        raise UserError(
            f"--source {path}: not a whole .zip ({one_line(error)}); remove it, and --download fetches it anew"
        ) from error
    lock = Lock()

    def reader(member: str) -> Reader:
        def read() -> bytes:
            with lock:
                return read_member(archive, member, max_bytes)

        return read

    for member in names:
        _add(found, PurePosixPath(member).name, reader(member), hidden="__MACOSX" in member)


def _add(found: CatFiles, name: str, reader: Reader, hidden: bool = False) -> None:
    if hidden or name.startswith("."):
        return
    lower = name.lower()
    if lower.endswith(".jpg"):
        found.photos.setdefault(name, reader)  # the same photo unpacked and in an archive counts once
    elif lower.endswith(".jpg.cat"):
        found.annotations.setdefault(name, reader)
