"""Writing files so that a crash at any moment leaves the old content or the new, never half of one; reading no more of
other people's files than is allowed; finding all of them."""

import errno
import hashlib
import os
import re
import secrets
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO


def write_atomically(
    path: Path, write: Callable[[BinaryIO], object], *, previous: Path | None = None, lasting: bool = True
) -> None:
    """Has `write` fill a temporary file beside `path`, flushes it to the disk, and renames it to `path`.

    Args:
        previous: what a file that is already at `path` is renamed to, once the new one is whole.
        lasting: else it is not flushed, which takes some milliseconds, and a power cut may leave an empty file: for
            what is worth nothing afterwards.

    Raises:
        OSError: no space, no permission; `path` is then as it was, and no temporary file is left.
    """
    temporary = _temporary(path)
    try:
        with temporary.open("wb") as file:
            write(file)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        if previous is not None and path.exists():
            path.replace(previous)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    if lasting:
        _flush_folder(path.parent)


def link_atomically(path: Path, content: Path) -> None:
    """Makes `path` a second name of the file at `content`: they take the room of one.

    Safe among files that are only ever replaced, as `write_atomically` does: writing in place would change both.

    Raises:
        OSError: there is nothing at `content`, or its file system has no such names; `path` is then as it was.
    """
    temporary = _temporary(path)
    try:
        os.link(content, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)  # it is there still where `path` was this file already
    _flush_folder(path.parent)


def _temporary(path: Path) -> Path:
    # Not the process's number alone: on a shared file system two machines may have the same one.
    # A name may have 255 bytes, of which this takes some 30.
    return path.with_name(f".{path.name[:60]}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


def write_text_atomically(path: Path, text: str, *, lasting: bool = True) -> None:
    write_atomically(path, lambda file: file.write(text.encode()), lasting=lasting)


def append_whole(path: Path, content: bytes) -> None:
    """Appends all of it or nothing: on a full disk half of it would spoil what follows.

    Raises:
        OSError: it cannot be written.
    """
    with path.open("ab", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        try:
            if file.write(content) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            file.truncate(end)
            raise


def flush(path: Path) -> None:
    """Onto the disk, if there is such a file: after a power cut nothing of it is missing."""
    if path.exists():
        with path.open("ab") as file:
            os.fsync(file.fileno())


def read_bounded(path: Path, file_bytes: int) -> bytes:
    """
    Args:
        file_bytes: the limit of that name.

    Raises:
        ValueError: the file is larger; no more than that is read.
    """
    with path.open("rb") as file:
        content = file.read(file_bytes + 1)
    _check_length(len(content), file_bytes)
    return content


def read_member(archive: zipfile.ZipFile, name: str, file_bytes: int) -> bytes:
    """
    Raises:
        ValueError: the member says that it is larger; nothing is unpacked. (More than it says is never unpacked.)
    """
    _check_length(archive.getinfo(name).file_size, file_bytes)
    return archive.read(name)


def digest(path: Path) -> str:
    """16 hexadecimal digits of the content's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _check_length(length: int, file_bytes: int) -> None:
    if length > file_bytes:
        raise ValueError(f"larger than limits.file_bytes={file_bytes}")


def _flush_folder(folder: Path) -> None:
    """A rename is on the disk only once its folder is. POSIX; elsewhere folders cannot be opened, and need not be."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def reason(error: BaseException) -> str:
    """Why, without the number of the error and the path, which the message around it names."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def in_words(count: float) -> str:
    """Of bytes: 516 kB, 81.1 MB, 1.23 GB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def is_folder(path: Path) -> bool | None:
    """None: nothing is there.

    Raises:
        OSError: what is there cannot be reached: no permission, a name that is too long, links in a circle.
    """
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # the last: a name with a zero byte
        return None


def is_hidden(name: str) -> bool:
    """What systems put between people's files: dot files, macOS's shadow folder in archives, a disk's lost+found."""
    return name.startswith(".") or name in ("__MACOSX", "lost+found")


def names_below(root: Path, on_error: Callable[[str, OSError], object]) -> Iterator[str]:
    """Names of all files below a folder, at any depth: relative to it, with / between their parts. Hidden ones are left
    out.

    Links count as what they point to. A folder that several names lead to is looked through once, under the name that
    needs no link, where it has one: links in a circle end, and no file counts twice because of a link to its folder.
    Nothing is lost in silence: a link that leads nowhere is among the names, so that reading it fails.

    Args:
        on_error: gets the name of a folder that cannot be listed ("" for `root`) and why; the others go on after it.
            So it does for a link that leads nowhere and has no suffix, which was one to a folder if any was: to one on
            a disk that is not there today, say.
    """
    seen: set[tuple[int, int]] = set()
    links = [""]  # to folders, and the root; what needs a link comes after all that does not
    for link in links:
        folders = [link]
        while folders:
            name = folders.pop()
            folder = root / name
            try:
                status = folder.stat()
                # File systems that make their inode numbers up are trusted only where links could lead in circles.
                if link and (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
                with os.scandir(folder) as listing:
                    entries = sorted(listing, key=lambda entry: entry.name)
            except OSError as error:
                on_error(name, error)
                continue
            for entry in entries:
                if is_hidden(entry.name):
                    continue
                below = f"{name}/{entry.name}" if name else entry.name
                kind = _kind(entry)
                if kind == "folder":
                    (links if entry.is_symlink() else folders).append(below)
                elif kind == "nowhere" and not Path(below).suffix:
                    on_error(below, _leads_nowhere(root / below))
                elif kind != "other":
                    yield below


def read_below(root: Path, name: str, file_bytes: int) -> bytes:
    """The content of a file that `names_below` named.

    Raises:
        ValueError: it is larger than file_bytes; no more than that is read.
        OSError: it cannot be read; for a link that leads nowhere the message says where it should.
    """
    path = root / name
    try:
        return read_bounded(path, file_bytes)
    except FileNotFoundError:
        raise _leads_nowhere(path) from None


def by_iteration(folder: Path, suffix: str) -> list[Path]:
    """Files called iter_NUMBER.suffix, rising by number: past a million, names would sort wrongly."""
    found = {path: re.fullmatch(r"iter_(\d+)", path.stem) for path in folder.glob(f"iter_*{suffix}")}
    return sorted((path for path, match in found.items() if match), key=iteration_of)


def iteration_of(path: Path) -> int:
    """Of a file that `by_iteration` found."""
    return int(path.stem.removeprefix("iter_"))


def listing_digest(root: Path) -> str:
    """Changes when a file below a folder is added, removed, renamed or written; of a single file, when that is written.

    Size and time of writing alone would miss a file that was changed at equal size and had its old time set again, as
    unpacking and copying tools do. The time of the last change of any kind (ctime) cannot be set, and a file that was
    renamed over another has an inode of its own.

    Raises:
        OSError: `root` cannot be reached.
    """
    unlisted: list[str] = []
    names = names_below(root, lambda name, error: unlisted.append(name)) if is_folder(root) else [""]
    found = hashlib.sha256()
    for name in sorted(names):
        try:
            status = (root / name).stat()
            state = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
        except OSError:
            state = "unreadable"
        found.update(os.fsencode(name) + b"\0" + state.encode() + b"\0")
    for name in sorted(unlisted):
        found.update(os.fsencode(name) + b"\0unlisted\0")
    return found.hexdigest()


def _kind(entry: "os.DirEntry[str]") -> str:
    """folder, file, nowhere (a link whose end cannot be reached), or other: a pipe, say, which would never end."""
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return "file"
        entry.stat()
    except OSError:
        return "nowhere"
    return "other"


def _leads_nowhere(path: Path) -> OSError:
    """Why; the system's own words leave out where the link leads."""
    try:
        path.stat()
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))  # it is there by now
    except FileNotFoundError as error:
        return FileNotFoundError(f"a link to {path.readlink()}, where nothing is") if path.is_symlink() else error
    except OSError as error:
        return error
