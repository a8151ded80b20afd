"""The photos and annotations of CAT, wherever they lie: folders and zips in any nesting."""

import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from pathlib import Path, PurePosixPath
from threading import Lock

from rgan_bench.errors import UserError
from rgan_bench.files import is_folder, is_hidden, names_below, read_below, read_member, reason

# The published archives annotate a photo that is not theirs, and lack one annotation, which is published beside them.
STRAY_ANNOTATION = "00000003_019.jpg.cat"
ADDED_ANNOTATION = "00000003_015.jpg.cat"


@dataclass(frozen=True)
class CatFile:
    """A photo or an annotation.

    Attributes:
        name: without folders.
        place: with them, and with the archive that holds it, for people.
        read: gives the content.
    """

    name: str
    place: str
    read: Callable[[], bytes]


@dataclass
class CatFiles:
    """Names in lower case, without folders → all files of that name, in the order in which they were found: CAT's names
    are unique, but the same photo may be given unpacked and in its archive.

    Attributes:
        photos: `name.jpg`.
        annotations: `name.jpg.cat`.
        repaired: names of annotations dropped and added.
    """

    photos: dict[str, list[CatFile]] = field(default_factory=dict)
    annotations: dict[str, list[CatFile]] = field(default_factory=dict)
    repaired: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Reading:
    """What counts of several files of one name: the first that can be read.

    Attributes:
        others: those that are not the same, and what they are instead.
    """

    file: CatFile
    content: bytes
    others: list[tuple[CatFile, str]]


def read_first(files: list[CatFile]) -> Reading:
    """
    Raises:
        Exception: none can be read; why the first cannot. An archive may fail in many ways.
    """
    used: tuple[CatFile, bytes] | None = None
    others, failures = [], []
    for file in files:
        try:
            content = file.read()
        except Exception as error:
            failures.append(error)
            others.append((file, f"cannot be read ({reason(error)})"))
            continue
        if used is None:
            used = file, content
        elif content != used[1]:
            others.append((file, "has other content"))
    if used is None:
        raise failures[0]
    return Reading(*used, others)


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
        try:
            folder = is_folder(source)
        except OSError as error:
            raise UserError(f"--source {source}: cannot be reached ({reason(error)})") from error
        if folder:
            _add_folder(found, source, max_bytes)
        elif source.is_file():
            _add_zip(found, source, max_bytes)
        else:
            raise UserError(f"--source {source}: there is no such folder or .zip; --download fetches the archives")
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


def _add_folder(found: CatFiles, folder: Path, max_bytes: int) -> None:
    def unlisted(name: str, error: OSError) -> None:
        raise UserError(
            f"--source {folder}: the folder {name or '.'} cannot be listed ({reason(error)}), so its photos would be "
            "missing; mend it, or remove it"
        ) from error

    for name in sorted(names_below(folder, unlisted)):
        if name.lower().endswith(".zip"):
            _add_zip(found, folder / name, max_bytes)
        else:
            _add(found, str(folder / name), partial(read_below, folder, name, max_bytes))


def _add_zip(found: CatFiles, path: Path, max_bytes: int) -> None:
    try:
        archive = zipfile.ZipFile(path)  # stays open: photos are read from it while threads work
        names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
    except Exception as error:  # what the directory of a broken archive says can fail in many ways
        raise UserError(
            f"--source {path}: not a whole .zip ({reason(error)}); remove it, and --download fetches it anew"
        ) from error
    lock = Lock()

    def read(member: str) -> bytes:
        with lock:
            return read_member(archive, member, max_bytes)

    for member in dict.fromkeys(names):
        if not any(map(is_hidden, PurePosixPath(member).parts)):
            _add(found, f"{path}/{member}", partial(read, member))


def _add(found: CatFiles, place: str, read: Callable[[], bytes]) -> None:
    name = PurePosixPath(place).name
    for suffix, kind in ((".jpg", found.photos), (".jpg.cat", found.annotations)):
        if name.lower().endswith(suffix):
            kind.setdefault(name.lower(), []).append(CatFile(name, place, read))
