"""The one kind of error that a user's mistake raises, and how command lines show it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """A mistake that the user can mend. The message is one line: what, where, the value, the remedy."""


def one_line(text: object) -> str:
    """Folds a message of several lines, as libraries write them, into one."""
    return " ".join(str(text).split())


def full_errors_wanted() -> bool:
    """True where the user asked for tracebacks, with the variable that Hydra users know."""
    return os.environ.get("HYDRA_FULL_ERROR") == "1"


def show(program: str, error: UserError) -> int:
    """Prints `program: error: message` on stderr; gives the exit status for it."""
    print(f"{program}: error: {one_line(error)}", file=sys.stderr)
    return 2


@contextmanager
def shown_as_one_line(program: str, *, full: bool | None = None) -> Iterator[None]:
    """Turns a UserError into one line and an exit status, unless full errors are wanted."""
    full = full_errors_wanted() if full is None else full
    try:
        yield
        sys.stdout.flush()  # here, where what goes wrong can be told
    except UserError as error:
        if full:
            raise
        sys.exit(show(program, error))
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader (head, less) went away: nothing is wrong. Python would complain once more when it flushes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
