"""Stop requests: Ctrl-C and SIGTERM let the current iteration finish, so that it can be saved."""

import signal
from collections.abc import Callable
from types import FrameType


class StopSignals:
    """Within the `with` block the first SIGINT or SIGTERM only sets `received`; a second one acts as usual.

    Attributes:
        received: the signal's number; None: none came.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, say: Callable[[str], None] = lambda text: None) -> None:
        self.received: int | None = None
        self.say = say

    def __enter__(self) -> "StopSignals":
        self.previous = {number: signal.signal(number, self._receive) for number in self.SIGNALS}
        return self

    def __exit__(self, *exception: object) -> None:
        self._restore()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self._restore()
        self.say("stopping: what is under way is finished and saved first; once more stops at once")

    def _restore(self) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)
