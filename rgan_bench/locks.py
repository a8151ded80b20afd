"""One process a run folder. The lock is the kernel's: it goes with the process that held it, however that ended."""

import contextlib
import errno
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # not POSIX: no such lock there, and no protection against running the same command twice
    fcntl = None


class Busy(Exception):
    """Another process holds the folder; the message says which."""


# What flock says where the file system has no such locks (some network file systems).
UNSUPPORTED = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
_told: set[Path] = set()  # folders of which it was said
LOOKS_PASS = 10.0  # seconds for which those who only look (`is_held`) are waited for: each takes microseconds


def is_held(path: Path) -> bool | None:
    """Whether a process holds the lock file now. Looking makes no file, and stops nobody from taking the lock.

    Returns:
        None: that cannot be told; the file system has no locks, or the file may not be read.
    """
    if fcntl is None:
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe of that name would keep us waiting
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: several may look at once
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False


@contextlib.contextmanager
def held(path: Path, say: Callable[[str], None] = lambda text: None, *, wait: bool = False) -> Iterator[None]:
    """Holds the lock file within the block. Where the file system has no locks, that is said once, and nothing is held.

    Args:
        wait: for a process that holds it, instead of refusing.

    Raises:
        Busy: another process does.
        OSError: the file cannot be made.
    """
    if fcntl is None:
        yield
        return
    with path.open("a+") as file:
        try:
            _take(fcntl, file.fileno(), wait)
        except BlockingIOError:
            file.seek(0)
            raise Busy(file.read().strip() or "another process") from None
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
            if path.parent.parent not in _told:
                _told.add(path.parent.parent)
                say(
                    f"warning: {path.parent}: this file system has no locks ({error.strerror}); going on without: "
                    "see to it that no other process trains the same run"
                )
        with contextlib.suppress(OSError):  # a full disk: the lock holds, only nobody can read by whom
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
        yield


def _take(fcntl: ModuleType, descriptor: int, wait: bool) -> None:
    """
    Raises:
        BlockingIOError: another process holds it.
    """
    until = time.monotonic() + LOOKS_PASS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            return
        except BlockingIOError:
            # Shared, as looks are, it can be had beside looks, and not beside a process that holds it.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            if time.monotonic() >= until:
                raise
        time.sleep(0.001)
