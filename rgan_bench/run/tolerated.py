"""Parts of a run that may fail without stopping it."""

import contextlib
from collections.abc import Callable, Iterator

from rgan_bench.errors import one_line


class Tolerated:
    """Parts that are not the training: when one fails, that is said once, and training goes on."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.failed: set[str] = set()

    @contextlib.contextmanager
    def failing(self, part: str) -> Iterator[None]:
        """
        Args:
            part: what is tried within the block, for people.
        """
        try:
            yield
        except Exception as error:
            if part not in self.failed:
                self.failed.add(part)
                reason = one_line(error) or type(error).__name__
                self.say(f"warning: {part}: failed ({reason}); training goes on, and this is not said again")
