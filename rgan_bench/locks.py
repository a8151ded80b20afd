"""One process a run folder. The lock is the kernel's: it goes with the process that held it, however that ended."""

import contextlib
import errno
import os
import re
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
PATIENCE = 120.0  # seconds after which a file server has given back the locks of a machine that died
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


def cluster_job() -> str | None:
    """The number of the Slurm job that this process belongs to, as squeue shows it."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


@contextlib.contextmanager
def held(
    path: Path, say: Callable[[str], None] = lambda text: None, *, wait: bool = False, patience: float = 0
) -> Iterator[None]:
    """Holds the lock file within the block. Where the file system has no locks, that is said once, and nothing is held.

    Args:
        wait: for a process that holds it, instead of refusing.
        patience: seconds to wait for one on another machine, which may have died, and, within a cluster's job, for any:
            that of before, which the cluster started anew, may still be ending.

    Raises:
        Busy: another process does.
        OSError: the file cannot be made.
    """
    if fcntl is None:
        yield
        return
    with path.open("a+") as file:
        try:
            until = time.monotonic() + patience
            while not _take(fcntl, file.fileno(), wait):
                file.seek(0)
                holder = file.read().strip() or "another process"
                if time.monotonic() >= until or not (_elsewhere(holder) or cluster_job()):
                    raise Busy(holder)
                if patience:
                    say(f"{path.parent}: held by {holder}; waiting for {patience:.0f} s, in case it has died")
                    patience = 0
                time.sleep(1)
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
            job = cluster_job()
            file.write(f"process {os.getpid()} on {socket.gethostname()}{f', job {job}' if job else ''}\n")
            file.flush()
        yield


def _elsewhere(holder: str) -> bool:
    host = re.search(r" on ([^,]+)", holder)
    return host is not None and host[1] != socket.gethostname()


def _take(fcntl: ModuleType, descriptor: int, wait: bool) -> bool:
    """Whether it is had; else another process holds it."""
    until = time.monotonic() + LOOKS_PASS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            return True
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
        try:
            # Shared, as looks are, it can be had beside looks, and not beside a process that holds it.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        except BlockingIOError:
            return False
        time.sleep(0.001)
