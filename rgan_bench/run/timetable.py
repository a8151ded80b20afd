"""What is due after which iteration. A function of the iteration alone: a resumed run does the same things."""

from rgan_bench.config.schema import FidConfig, TrainConfig


class Timetable:
    """Each kind of thing happens every so many iterations, and after the last one; or never."""

    def __init__(self, train: TrainConfig, fid: FidConfig) -> None:
        self.last = train.iterations
        self.every = {
            "log": train.log_every,
            "grid": train.sample_every,
            "checkpoint": train.checkpoint_every,
            "score": fid.every,
        }

    def due(self, what: str, iteration: int) -> bool:
        """
        Args:
            what: log, grid, checkpoint or score.
        """
        every = self.every[what]
        return every is not None and (iteration % every == 0 or iteration == self.last)

    def anything(self, iteration: int) -> bool:
        return any(self.due(what, iteration) for what in self.every)

    def count(self, what: str) -> int:
        """At how many iterations it is due, from the first to the last."""
        every = self.every[what]
        return 0 if every is None else -(-self.last // every)
