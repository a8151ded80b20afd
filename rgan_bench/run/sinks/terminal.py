"""The newest numbers beside the progress bar; without a terminal, in a line now and then."""

from rgan_bench.console import Progress
from rgan_bench.run.sinks import Sink, Values

SHOWN = {"iterations_per_second": "it/s", "loss/discriminator": "D", "loss/generator": "G"}


class Terminal(Sink):
    def __init__(self, progress: Progress, scored: bool) -> None:
        """
        Args:
            scored: whether a score follows the last iteration: the last line then waits for it.
        """
        self.progress, self.scored = progress, scored

    def log(self, iteration: int, values: Values) -> None:
        shown = {short: value for name, short in SHOWN.items() if (value := values.get(name)) is not None}
        self.progress.note(shown, at_once=iteration == self.progress.total and not self.scored)

    def scores(self, iteration: int, values: Values) -> None:
        self.progress.scores({name: value for name, value in values.items() if value is not None})
