"""`rgan-train` for Python."""

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rgan_bench.api.compose import command, compose_config
from rgan_bench.config.validate import validate
from rgan_bench.console import silent
from rgan_bench.run.folder import RunFolder
from rgan_bench.run.standing import answer, refuse_the_past

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Result:
    """What became of a run.

    Attributes:
        folder: the run folder.
        status: finished; diverged or not scored in the exceptions of these names.
        iteration: that was asked for, or that it came to.
        scores: score's name → value after that iteration.
        content: result.json.
    """

    folder: Path
    status: str
    iteration: int
    scores: dict[str, float]
    content: dict[str, Any]

    def __repr__(self) -> str:
        scores = "".join(f", {name} {value:.4g}" for name, value in self.scores.items())
        return f"<{self.folder}: {self.status} at iteration {self.iteration:,}{scores}>"

    def history(self, score: str) -> list[tuple[int, float]]:
        """(iteration, value) of a score, by its name in `scores`."""
        return [(iteration, value) for iteration, value in self.content["scores"][score]["history"]]

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl: losses, logits, gradient norms by iteration."""
        return RunFolder(self.folder).read_metrics()

    def grid(self, ema: bool = False) -> Path | None:
        """The newest sample grid, of the generator or of its average."""
        return next(reversed(RunFolder(self.folder).grids("ema" if ema else "raw")), None)

    def generator(self, **options: Any) -> "nn.Module":
        """As `rgan_bench.load_generator` gives it, which says what the options are."""
        from rgan_bench.run.checkpoint import load_generator

        return load_generator(self.folder, **options)


class RunFailed(Exception):
    """A run that has no answer; `result` tells how it stands.

    Attributes:
        result: what there is.
    """

    def __init__(self, message: str, result: Result) -> None:
        super().__init__(message)
        self.result = result


class Diverged(RunFailed):
    """A loss or a weight was no longer finite."""


class NotScored(RunFailed):
    """It is trained, and its last score failed; the same call scores again."""


def train(*overrides: str, wait: bool = False, quiet: bool = False) -> Result:
    """What `rgan-train OVERRIDES` does: trains a run, goes on with it, or tells at once that it is finished.

        result = rgan_bench.train("loss=rasgan", "data=demo", "train.iterations=500")

    Args:
        overrides: as on the command line, one run's: to sweep, call it in a loop.
        wait: for another process that trains this run.
        quiet: print nothing. Else it prints what the command does, with a bar on terminals and in notebooks.

    Raises:
        UserError: something is wrong with the input; nothing is written.
        Busy: another process trains this run, and `wait` is not set.
        Diverged, NotScored: see there.
        KeyboardInterrupt: Ctrl-C, or a notebook's stop button; the run is saved, and the same call goes on.
        SystemExit: another of the signals that end a process; likewise.
    """
    composed, files = compose_config(overrides)
    config = validate(composed)
    folder = RunFolder.of(config)
    for _ in range(2):
        known = answer(folder, config)
        if known:
            scores = {name: value for name, (_, value) in known.scores.items()}
            return Result(folder.path, "finished", known.iteration, scores, known.result)
        refuse_the_past(folder, config)

        from rgan_bench.run.experiment import run_experiment  # imports torch, so only now

        with silent(quiet):
            content = run_experiment(config, files, command(overrides), wait=wait)
        if content is not None:
            return _result(folder, content)
    raise AssertionError(f"{folder.path}: another process left an answer, and it is gone")


def _result(folder: RunFolder, content: dict[str, Any]) -> Result:
    """
    Raises:
        RunFailed, KeyboardInterrupt, SystemExit: as `train`.
    """
    iteration: int = content["iteration"]
    scores = {
        name: score["final"]["value"]
        for name, score in content["scores"].items()
        if score["final"]["iteration"] == iteration
    }
    result = Result(folder.path, content["status"], iteration, scores, content)
    if result.status == "interrupted":
        number = content["signal"]
        if number == signal.SIGINT:
            raise KeyboardInterrupt(f"stopped; saved in {folder.path}, where the same call goes on")
        raise SystemExit(128 + number)
    if result.status == "diverged":
        first = content["diverged"]
        names = ", ".join(first["not_finite"])
        raise Diverged(f"{folder.path}: diverged at iteration {first['iteration']:,}: {names} not finite", result)
    failed = [each["reason"] for each in content["failed_scores"] if each["iteration"] == iteration]
    if failed:
        raise NotScored(f"{folder.path}: the score at iteration {iteration:,} failed: {'; '.join(failed)}", result)
    return result
