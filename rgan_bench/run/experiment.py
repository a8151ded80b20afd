"""The life of a run, from its config to its result.json."""

import contextlib
import math
from typing import Any

from rgan_bench import ranks
from rgan_bench.config.schema import Config
from rgan_bench.console import Progress, print_block, say
from rgan_bench.errors import UserError, one_line
from rgan_bench.gan.steps import Metrics
from rgan_bench.plugins import load_plugins
from rgan_bench.run.clock import Clock
from rgan_bench.run.crew import agree, crew, tell_state
from rgan_bench.run.folder import RunFolder
from rgan_bench.run.grids import draw_grid
from rgan_bench.run.health import not_finite
from rgan_bench.run.judge import judge
from rgan_bench.run.keeper import Keeper
from rgan_bench.run.outcome import print_outcome
from rgan_bench.run.parts import Parts
from rgan_bench.run.record import Record
from rgan_bench.run.resume import resume
from rgan_bench.run.sinks import Sinks, loggers
from rgan_bench.run.sinks.metrics_file import MetricsFile
from rgan_bench.run.sinks.terminal import Terminal
from rgan_bench.run.space import Space
from rgan_bench.run.standing import answer
from rgan_bench.run.stops import Stopped, StopSignals
from rgan_bench.run.store import CheckpointStore
from rgan_bench.run.summary import introduction
from rgan_bench.run.timetable import Timetable
from rgan_bench.run.tolerated import Tolerated
from rgan_bench.training.loop import train
from rgan_bench.training.schedules import curves_of
from rgan_bench.training.slots import slot


def run_experiment(
    config: Config, hydra_files: dict[str, str] | None = None, command: str | None = None, *, wait: bool = False
) -> dict[str, Any] | None:
    """Trains to `train.iterations`, from scratch or from where the run's folder stands.

    Args:
        hydra_files: name → content of what goes into the folder's `.hydra/`.
        command: that makes this run, for result.json.
        wait: for another process that trains this run.

    Returns:
        The content of result.json. Its `status` is finished, diverged, or interrupted, then with the `signal`'s number.
        None where another process has left the answer while this one got ready.

    Raises:
        UserError: something is wrong with the input. A folder that did not exist is then not made.
        Busy: another process trains this run, and `wait` is not set.
    """
    with crew(config), slot(config.device, config.cells_per_gpu, say):
        return _live(config, hydra_files, command, wait)


def _live(config: Config, hydra_files: dict[str, str] | None, command: str | None, wait: bool) -> dict[str, Any] | None:
    experiment = Experiment(config, command)
    folder = experiment.folder
    folder.create()
    ranks.from_first(None)  # the others may begin: what must be downloaded is there
    with folder.held(say, wait=wait):
        if answer(folder, config):
            tell_state(None)
            return None
        experiment.resume()
        with folder.writing():
            folder.write_hydra_files(hydra_files or {})
            folder.write_plugins(load_plugins(config.plugins))
        experiment.sinks.begin(experiment.state.iteration)
        print_block(introduction(config, experiment.parts, folder))
        tell_state(experiment.state)
        try:
            result = experiment.run()
        except Exception as error:
            experiment.break_off("failed", one_line(f"{type(error).__name__}: {error}"))
            raise
        except KeyboardInterrupt:  # the second Ctrl-C: nobody waits for what is under way
            experiment.break_off("interrupted")
            raise
    experiment.stop.hand_on()  # now that the folder is free for whoever goes on with the run
    return result


class Experiment:
    """One run. Making it loads and checks everything that can fail; it writes nothing.

    Attributes:
        not_finite: names of what was not finite when numbers were last read.
    """

    def __init__(self, config: Config, command: str | None = None) -> None:
        self.config = config
        self.folder = RunFolder.of(config)
        self.parts = Parts.of(config)
        self.state = self.parts.state
        Space.of(config, self.state).check(self.folder)
        self.store = CheckpointStore(self.folder.checkpoints, config.train.keep, say)
        self.keeper = Keeper(self.store, self.state, config, self.parts.data)
        self.timetable = Timetable(config.train, config.fid)
        self.curves = curves_of(config)
        self.tolerated = Tolerated(say)
        self.not_finite: list[str] = []
        self.record = Record(config, self.parts, self.folder, command, say)
        self.sinks = Sinks([("metrics.jsonl", MetricsFile(self.folder)), *loggers(config, self.folder)], say)

    def resume(self) -> None:
        """Goes on from the folder's newest whole checkpoint, if there is one. The folder must be held."""
        if resume(self.state, self.store, self.folder, self.parts.data, self.config):
            self.keeper.saved = self.state.progress()

    def run(self) -> dict[str, Any]:
        """From where the state stands to the end of the session."""
        self.clock = self.record.clock = Clock(self.state)
        # What came from a checkpoint may be broken: with train.on_divergence=continue such weights are saved too.
        self.check_finite({})
        with StopSignals() as self.stop, Progress(self.state.iteration, self.config.train.iterations) as self.progress:
            terminal = Terminal(self.progress, scored=self.parts.scorer is not None)
            self.sinks.sinks.append(("to the terminal", terminal))
            self.record.tell("running")
            status = self.advance()
            if status != "diverged" or self.config.train.on_divergence == "continue":
                self.save()
        try:
            result = self.record.write(status)
        except OSError as error:
            raise UserError(f"{self.folder.result}: cannot be written ({one_line(error)}); call it again") from error
        self.sinks.finish(result)
        if status == "interrupted":
            result["signal"] = self.stop.received
        print_outcome(result, self.folder)
        return result

    def advance(self) -> str:
        """Trains to the last iteration, a stop, or a divergence that ends the run; the status then."""
        state, train_config = self.state, self.config.train
        ends_by_diverging = train_config.on_divergence == "stop"
        if self.not_finite and ends_by_diverging:
            agree(self.stop, ended=True)
            return "diverged"
        try:
            self.draw()
            self.attend()
            self.heed()
            for measured in train(state, self.parts.data, self.config, self.parts.accelerator):
                self.progress.step()
                if self.timetable.anything(state.iteration) or self.stop.received is not None:
                    self.look(measured)
                    if self.not_finite and ends_by_diverging:
                        agree(self.stop, ended=True)
                        return "diverged"
                    self.attend()
                self.heed()
        except Stopped:
            say("stopping: saving first; a second Ctrl-C leaves at once")
            return "interrupted"
        return "diverged" if self.not_finite else "finished"

    def look(self, measured: Metrics) -> None:
        """Reads what the last iteration measured; tells it, and draws the sample grid, where they are due."""
        values = self.clock.read(measured)
        self.check_finite(values)
        line: dict[str, float | None] = {}
        if self.timetable.due("log", self.state.iteration) or self.not_finite:
            rate = self.clock.rate()
            seen = self.config.optim.n_d * self.config.train.batch_size  # reals that the discriminator sees at a time
            scheduled = {f"schedule/{name}": at(self.state.iteration - 1) for name, at in self.curves.items()}
            line = {**values, **scheduled, "iterations_per_second": rate, "images_per_second": rate and rate * seen}
        self.draw()
        diversity = self.state.diversity
        if diversity is not None and diversity["iteration"] == self.state.iteration:
            line["grid/pixel_sd"] = diversity["pixel_sd"]
        if line:  # JSON has no NaN
            finite = {name: value if value is None or math.isfinite(value) else None for name, value in line.items()}
            self.sinks.log(self.state.iteration, finite)

    def attend(self) -> None:
        """Scores and a checkpoint, where they are due. Afterwards the training clock goes on.

        Raises:
            Stopped: while it scored.
        """
        iteration = self.state.iteration
        if self.parts.scorer is not None and self.timetable.due("score", iteration):
            # With several ranks a stop waits for the score, which all of them are at.
            with self.stop.breaking_off() if ranks.world().count == 1 else contextlib.nullcontext():
                scores = judge(self.state, self.parts.scorer, self.config.seed, self.not_finite, say)
                ranks.from_first(None)  # no more scores
                if scores:
                    self.sinks.scores(iteration, dict(scores))
                if scores is not None:
                    self.record.tell("running")
        if self.timetable.due("checkpoint", iteration) and iteration > 0:
            self.save(periodic=True)
        self.clock.start()

    def heed(self) -> None:
        """
        Raises:
            Stopped: a signal has come, to this rank or to another, and there is something left to do.
        """
        received = agree(self.stop)
        if received and self.state.iteration < self.config.train.iterations:
            self.stop.received = self.stop.received or received
            raise Stopped

    def draw(self) -> None:
        """A sample grid of each generator, where it is due."""
        if self.timetable.due("grid", self.state.iteration):
            for which in self.state.generators():
                with self.tolerated.failing("drawing a sample grid" + " of the average" * (which == "ema")):
                    path = draw_grid(self.state, self.parts.data, self.config, self.folder, which)
                    self.sinks.images(self.state.iteration, path)

    def check_finite(self, values: dict[str, float]) -> None:
        networks = {"generator": self.state.generator, "discriminator": self.state.discriminator}
        if self.state.ema is not None:
            networks["generator_ema"] = self.state.ema
        self.not_finite = self.record.not_finite = not_finite(values, networks)
        if self.not_finite and self.state.diverged is None:
            self.state.diverged = {"iteration": self.state.iteration, "not_finite": self.not_finite}

    def break_off(self, status: str, failure: str | None = None) -> None:
        """The session ends without a save."""
        result = self.record.break_off(status, self.keeper.saved[0], failure)
        self.sinks.finish(result)

    def save(self, periodic: bool = False) -> None:
        self.keeper.save(self.clock.wall_seconds(), self.sinks.save, periodic=periodic)
