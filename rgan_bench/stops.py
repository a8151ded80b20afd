"""Stop requests: Ctrl-C, SIGTERM and SIGUSR1 let the current iteration finish, so that it can be saved."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType


class Stopped(BaseException):
    """A stop came while something ran that may be broken off and done again. No Exception: nobody may swallow it."""


class StopSignals:
    """Within the `with` block the first signal only sets `received`; a second one acts as usual.

    SIGUSR1 is what Slurm sends ahead of a time limit (sbatch --signal=B:USR1@60).

    Attributes:
        received: the signal's number; None: none came.
    """

    SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name))

    def __init__(self, say: Callable[[str], None] = lambda text: None) -> None:
        self.received: int | None = None
        self.say = say
        self._breaking_off = False

    def __enter__(self) -> "StopSignals":
        self.previous = {number: signal.signal(number, self._receive) for number in self.SIGNALS}
        return self

    def __exit__(self, *exception: object) -> None:
        self._restore()

    @contextlib.contextmanager
    def breaking_off(self) -> Iterator[None]:
        """For what takes long and can be done again, such as a score: a stop ends this block at once.

        Raises:
            Stopped: a signal comes, or came before.
        """
        self._breaking_off = True
        try:
            if self.received is not None:
                raise Stopped
            yield
        finally:
            self._breaking_off = False

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self._restore()
        self.say("stopping: saving first; once more stops at once")
        if self._breaking_off:
            raise Stopped

    def _restore(self) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)
