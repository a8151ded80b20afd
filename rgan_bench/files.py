"""Writing files so that a crash at any moment leaves the old content or the new, never half of one; reading no more of
other people's files than is allowed."""

import hashlib
import os
import secrets
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


def write_atomically(path: Path, write: Callable[[BinaryIO], object], *, previous: Path | None = None) -> None:
    """Has `write` fill a temporary file beside `path`, flushes it to the disk, and renames it to `path`.

    Args:
        previous: what a file that is already at `path` is renamed to, once the new one is whole.

    Raises:
        OSError: no space, no permission; `path` is then as it was, and no temporary file is left.
    """
    # Not the process's number alone: on a shared file system two machines may have the same one.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if previous is not None and path.exists():
            path.replace(previous)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _flush_folder(path.parent)


def write_text_atomically(path: Path, text: str) -> None:
    write_atomically(path, lambda file: file.write(text.encode()))


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


def listing_digest(root: Path) -> str:
    """Changes with the files below."""
    paths = sorted(root.rglob("*")) if root.is_dir() else [root]
    return hashlib.sha256(repr([(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in paths]).encode()).hexdigest()
