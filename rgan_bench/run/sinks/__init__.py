"""Who is told of a run while it goes on, one file per sink. `logger=NAME` asks for one that the register knows."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from rgan_bench import register
from rgan_bench.config.schema import Config
from rgan_bench.errors import UserError, one_line
from rgan_bench.run.folder import RunFolder
from rgan_bench.run.tolerated import Tolerated

Values = dict[str, float | None]  # None: not finite, or not known


class Sink:
    """A place that a run's numbers and pictures go to. What a sink does not define, it does not hear.

    Making it, and `begin`, may refuse. From then on, whatever it raises, training goes on without it.
    """

    def begin(self, iteration: int) -> dict[str, int]:
        """The session begins, in a folder that this process alone works in. (Making a sink writes nothing.)

        Args:
            iteration: where the run goes on from; 0 where it starts.

        Returns:
            Name of a number or score, or of the folder of grids → the last iteration for which it has been told. It is
            not told again of that one and of earlier ones: a run that goes on comes by the same values once more.
        """
        return {}

    def log(self, iteration: int, values: Values) -> None:
        """Numbers of one iteration: losses, gradient norms, rates."""

    def images(self, iteration: int, path: Path) -> None:
        """A sample grid, as a PNG file in `samples`; that of an averaged generator lies in `samples_ema`."""

    def scores(self, iteration: int, values: Values) -> None:
        """Score's name, as people read it → value."""

    def save(self) -> None:
        """Onto the disk: a checkpoint is about to be written, from which a crashed run would go on."""

    def finish(self, result: dict[str, Any]) -> None:
        """The session ends, with this result.json. Its `status` is finished, diverged, interrupted or failed."""


class Sinks:
    """All sinks of a run as one. None is told anything twice."""

    def __init__(self, sinks: Iterable[tuple[str, Sink]], say: Callable[[str], None]) -> None:
        """
        Args:
            sinks: (what it is, for people; sink).
        """
        self.sinks = list(sinks)
        self.told: dict[str, dict[str, int]] = {}
        self.tolerated = Tolerated(say)

    def begin(self, iteration: int) -> None:
        """
        Raises:
            UserError: one of them cannot be had. Those before it are closed again.
        """
        for number, (name, sink) in enumerate(self.sinks):
            try:
                with refusing(name):
                    self.told[name] = sink.begin(iteration)
            except BaseException:
                del self.sinks[number:]
                self.finish({"status": "failed"})
                raise

    def log(self, iteration: int, values: Values) -> None:
        self._tell_numbers("log", iteration, values)

    def images(self, iteration: int, path: Path) -> None:
        for name, sink in self.sinks:
            if self._is_new(name, path.parent.name, iteration):
                self._tell(name, sink.images, iteration, path)

    def scores(self, iteration: int, values: Values) -> None:
        self._tell_numbers("scores", iteration, values)

    def save(self) -> None:
        for name, sink in self.sinks:
            self._tell(name, sink.save)

    def finish(self, result: dict[str, Any]) -> None:
        for name, sink in self.sinks:
            self._tell(name, sink.finish, result)

    def _tell_numbers(self, what: str, iteration: int, values: Values) -> None:
        for name, sink in self.sinks:
            new = {each: value for each, value in values.items() if self._is_new(name, each, iteration)}
            if new:
                self._tell(name, getattr(sink, what), iteration, new)

    def _is_new(self, sink: str, name: str, iteration: int) -> bool:
        return iteration > self.told.get(sink, {}).get(name, -1)

    def _tell(self, name: str, hear: Callable[..., None], *arguments: Any) -> None:
        with self.tolerated.failing(f"writing {name}"):
            hear(*arguments)


def loggers(config: Config, folder: RunFolder) -> list[tuple[str, Sink]]:
    """(name, sink) of each that `logger` names. Writes nothing.

    Raises:
        UserError: one of them cannot be had.
    """
    made = []
    for name in config.logger:
        with refusing(name):
            made.append((name, register.get("sink", name)(folder, config)))
    return made


@contextlib.contextmanager
def refusing(name: str) -> Iterator[None]:
    """
    Raises:
        UserError: instead of any error in the block. Nothing is trained yet: better no run than one that nobody sees.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = one_line(error) or type(error).__name__
        raise UserError(f"logger={name}: cannot be had ({reason}); mend it, or leave it out") from error
