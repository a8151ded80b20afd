"""Who is told of a run while it goes on, one file per sink."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from rgan_bench.run.health import Tolerated

Values = dict[str, float | None]  # None: not finite, or not known


class Sink(Protocol):
    """A place that a run's numbers and pictures go to. Whatever one raises, training goes on without it."""

    def log(self, iteration: int, values: Values) -> None:
        """Numbers of one iteration: losses, gradient norms, rates."""

    def images(self, iteration: int, path: Path) -> None:
        """A sample grid, as a PNG file; that of an averaged generator lies in `samples_ema`."""

    def scores(self, iteration: int, values: Values) -> None:
        """Score's name, as people read it → value."""

    def save(self) -> None:
        """Onto the disk: a checkpoint is about to be written, from which a crashed run would go on."""

    def finish(self, result: dict[str, Any]) -> None:
        """The session ends, with this result.json."""


class Sinks:
    """All sinks of a run as one."""

    def __init__(self, sinks: Iterable[tuple[str, Sink]], say: Callable[[str], None]) -> None:
        """
        Args:
            sinks: (what it is, for people; sink).
        """
        self.sinks = list(sinks)
        self.tolerated = Tolerated(say)

    def log(self, iteration: int, values: Values) -> None:
        self._tell("log", iteration, values)

    def images(self, iteration: int, path: Path) -> None:
        self._tell("images", iteration, path)

    def scores(self, iteration: int, values: Values) -> None:
        self._tell("scores", iteration, values)

    def save(self) -> None:
        self._tell("save")

    def finish(self, result: dict[str, Any]) -> None:
        self._tell("finish", result)

    def _tell(self, what: str, *arguments: Any) -> None:
        for name, sink in self.sinks:
            with self.tolerated.failing(f"writing {name}"):
                getattr(sink, what)(*arguments)
