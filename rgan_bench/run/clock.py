"""How long a run trains, and takes altogether, over all its sessions; how fast it is."""

import time

import torch

from rgan_bench.gan.steps import Metrics
from rgan_bench.training.state import TrainState


class Clock:
    """The training clock runs from `start` to `read`: scoring, drawing and saving are not training."""

    def __init__(self, state: TrainState) -> None:
        self.state = state
        self.began = self.mark = time.perf_counter()
        self.wall_before = state.wall_seconds
        self.rated = (state.iteration, state.training_seconds)

    def start(self) -> None:
        self.mark = time.perf_counter()

    def read(self, measured: Metrics) -> dict[str, float]:
        """From the device to the host. The training clock is read then, since the device has caught up."""
        names, tensors = zip(*measured.items(), strict=True)
        values: list[float] = torch.stack(tensors).tolist()
        now = time.perf_counter()
        self.state.training_seconds += now - self.mark
        self.mark = now
        return dict(zip(names, values, strict=True))

    def rate(self) -> float | None:
        """Iterations per second of training, since this was last asked; None where no time has passed."""
        iterations = self.state.iteration - self.rated[0]
        seconds = self.state.training_seconds - self.rated[1]
        self.rated = (self.state.iteration, self.state.training_seconds)
        return iterations / seconds if seconds else None

    def wall_seconds(self) -> float:
        return self.wall_before + time.perf_counter() - self.began
