"""One process a run folder. The lock is the kernel's: it goes with the process that held it, however that ended."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # not POSIX: no such lock there, and no protection against running the same command twice
    fcntl = None  # type: ignore[assignment]


class Busy(Exception):
    """Another process holds the folder; the message says which."""


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Holds the lock file within the block.

    Raises:
        Busy: another process does.
    """
    if fcntl is None:
        yield
        return
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise Busy(file.read().strip() or "another process") from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield
