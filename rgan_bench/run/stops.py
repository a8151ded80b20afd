"""Stop requests: Ctrl-C and the signals that ask a process to end let the current iteration finish, and be saved."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn


def leave_at_once_on_interrupt() -> None:
    """Until `interrupts_raise`: Ctrl-C ends the process there and then, without a word, with exit status 130.

    For the time of imports. KeyboardInterrupt would be printed as a traceback then, or, worse, be swallowed: libraries
    take an import that fails for a library that is not there, and go on without it.
    """
    signal.signal(signal.SIGINT, _leave)


def interrupts_raise() -> None:
    """Ctrl-C raises KeyboardInterrupt, as usual, if `leave_at_once_on_interrupt` made it otherwise."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    os._exit(128 + number)


class Stopped(BaseException):
    """A stop came while something ran that may be broken off and done again. No Exception: nobody may swallow it."""


class StopSignals:
    """Within the `with` block the first signal only sets `received`.

    After it, a second Ctrl-C, or a SIGTERM after a Ctrl-C or SIGTERM, acts as usual and leaves at once. What comes
    besides is let pass, since one cause often sends several signals: closing a terminal SIGHUP twice, Slurm SIGUSR1 or
    SIGUSR2 and then SIGTERM.

    SIGUSR1 is what Slurm sends ahead of a time limit (sbatch --signal=B:USR1@60), SIGUSR2 what submitit has it send,
    SIGHUP comes when the terminal is closed (and not under nohup). Nothing is printed here: a handler runs in the midst
    of anything, and what it prints to may be gone.

    Who listened before, such as submitit, which requeues a job at SIGUSR2, is told by `hand_on`, once all is saved.

    Attributes:
        received: the signal's number; None: none came.
    """

    NAMES = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGHUP")
    SIGNALS = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))

    def __init__(self) -> None:
        self.received: int | None = None
        self._came: list[int] = []  # all of them, in their order
        self._breaking_off = False

    def __enter__(self) -> "StopSignals":
        # In another thread than the main one, Python lets nobody listen to signals.
        listens = threading.current_thread() is threading.main_thread()
        heard = [number for number in self.SIGNALS if not _ignored_hangup(number)] if listens else []
        self.previous = {number: signal.signal(number, self._receive) for number in heard}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

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

    @classmethod
    def listens_to(cls, number: int) -> bool:
        """Whether such a signal, if it came now, would go to one of these in this process."""
        return isinstance(getattr(signal.getsignal(number), "__self__", None), cls)

    def hand_on(self) -> None:
        """Calls the handlers of before with the signals that came; they may raise, or end the process. After the block.

        Ctrl-C is not handed on: the one who pressed it sees the run's outcome.
        """
        for number in self._came:
            handler = self.previous[number]
            if number != signal.SIGINT and callable(handler):
                handler(number, None)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._came.append(number)
        if self.received is not None:
            return
        self.received = number
        meant_twice = {signal.SIGINT} | ({signal.SIGTERM} if number in (signal.SIGINT, signal.SIGTERM) else set())
        for each, handler in self.previous.items():
            if each in meant_twice:
                signal.signal(each, handler)
            elif not callable(handler):  # else it is listened to, to be handed on
                signal.signal(each, signal.SIG_IGN)
        if self._breaking_off:
            raise Stopped


def _ignored_hangup(number: int) -> bool:
    """nohup has SIGHUP ignored, and means it."""
    return number == getattr(signal, "SIGHUP", None) and signal.getsignal(number) == signal.SIG_IGN
