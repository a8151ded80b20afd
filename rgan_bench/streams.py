"""stdout and stderr of the commands: what they lead to may be gone, full, or of an encoding that knows no ×."""

import io
import os
import sys
from typing import TYPE_CHECKING

from rgan_bench.errors import UserError, one_line

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer  # collections.abc.Buffer, which Python 3.11 does not have yet


class Output(io.RawIOBase):
    """A descriptor that is written to until that fails once; afterwards it takes everything and lets it go.

    Raises, at that one failure and only where it is not tolerant:
        BrokenPipeError: the reader went away.
        UserError: a full disk, a closed descriptor.
    """

    def __init__(self, descriptor: int, name: str, *, tolerant: bool, closed: bool = False) -> None:
        super().__init__()
        self.descriptor, self.name, self.tolerant = descriptor, name, tolerant
        self.gone = False
        self.never = closed

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.descriptor

    def isatty(self) -> bool:
        return not self.never and os.isatty(self.descriptor)

    def write(self, content: "ReadableBuffer") -> int:
        length = memoryview(content).nbytes
        if self.gone:
            return length
        try:
            if self.never:
                raise OSError("it is closed")
            return os.write(self.descriptor, content)
        except OSError as error:
            self.gone = True
            if self.tolerant:
                return length
            if isinstance(error, BrokenPipeError):
                raise
            raise UserError(f"{self.name}: cannot be written to ({one_line(error)})") from error


def prepare_streams(*, tolerant: bool) -> None:
    """Has sys.stdout and sys.stderr survive whatever they are written to. Where a program has put others there, they
    stay.

    Args:
        tolerant: whether the work goes on when stdout cannot be written to, as training must; else that is an error.
            Without stderr everything goes on.
    """
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            # Closed when the process started. The next file that is opened would get its number, and what is printed.
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
        elif type(stream) is not io.TextIOWrapper or isinstance(getattr(stream.buffer, "raw", None), Output):
            continue
        raw = Output(descriptor, name, tolerant=tolerant or name == "stderr", closed=stream is None)
        terminal = raw.isatty()
        wrapped = io.TextIOWrapper(
            io.BufferedWriter(raw),
            encoding=stream.encoding if stream else "utf-8",
            errors="backslashreplace",  # readable, and no reason to fail
            line_buffering=terminal or name == "stderr",
        )
        setattr(sys, name, wrapped)
