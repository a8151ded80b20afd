"""The composition root: builds the parts, and turns iterations into samples, scores, checkpoints, logs, result.json."""

import contextlib
import math
import time
from dataclasses import asdict
from typing import Any

import torch
from torchvision.utils import save_image

from rgan_bench.accelerate import Accelerator
from rgan_bench.console import Progress, print_block, print_outcome, say, score_label
from rgan_bench.data import load_data
from rgan_bench.devices import keep_freed_memory, resolve_device, set_numerics
from rgan_bench.errors import UserError, one_line
from rgan_bench.files import write_atomically
from rgan_bench.health import Tolerated, not_finite, pairwise_sd
from rgan_bench.memory import check_memory
from rgan_bench.protocol import ScoreHistory
from rgan_bench.record import GRID, summary_of
from rgan_bench.resume import resume
from rgan_bench.runs import RunFolder
from rgan_bench.sampling import sample
from rgan_bench.schema import Config
from rgan_bench.scoring import Scorer
from rgan_bench.standing import answer, source_signature
from rgan_bench.state import TrainState
from rgan_bench.steps import Metrics
from rgan_bench.stops import Stopped, StopSignals
from rgan_bench.store import CheckpointStore
from rgan_bench.summary import introduction
from rgan_bench.training import train


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
    experiment = Experiment(config, command)
    folder = experiment.folder
    folder.create()
    with folder.held(say, wait=wait):
        if answer(folder, config):
            return None
        experiment.resume()
        with folder.writing():
            folder.write_hydra_files(hydra_files or {})
            folder.trim_metrics(experiment.state.iteration)
        print_block(introduction(config, experiment.data, experiment.state, experiment.device, folder))
        try:
            return experiment.run()
        except Exception as error:
            experiment.failure = one_line(f"{type(error).__name__}: {error}")
            with contextlib.suppress(OSError):
                experiment.write_result("failed", experiment.saved_iteration())
            raise
        except KeyboardInterrupt:  # the second Ctrl-C: nobody waits for what is under way
            with contextlib.suppress(OSError):
                experiment.write_result("interrupted", experiment.saved_iteration())
            raise


class Experiment:
    """One run. Making it loads and checks everything that can fail; it writes nothing.

    Attributes:
        saved: what `TrainState.progress` was at the last checkpoint; empty: there is none.
        not_finite: names of what was not finite when numbers were last read.
        failure: why the run failed; None: it did not.
    """

    def __init__(self, config: Config, command: str | None = None) -> None:
        self.config, self.command = config, command
        self.folder = RunFolder.of(config)
        self.store = CheckpointStore(self.folder.checkpoints, config.train.keep, say)
        self.device = resolve_device(config.device)
        set_numerics(config.deterministic)
        if self.device.type == "cpu" and config.accelerate != "none":
            keep_freed_memory()
        check_memory(config, self.device)
        self.signature = source_signature(config.data)  # before the files are read: what changes meanwhile is noticed
        data = load_data(config.data, config.limits)
        needed = config.train.batch_size * config.arch.pac
        if needed > len(data):
            stacks = f" in stacks of arch.pac={config.arch.pac}" if config.arch.pac > 1 else ""
            raise UserError(
                f"train.batch_size={config.train.batch_size}: a batch draws {needed} distinct images{stacks}, "
                f"and the data set has {len(data)} images; set at most {len(data) // config.arch.pac}"
            )
        self.data = data.to(self.device)
        self.scorer = Scorer(config.fid, self.data, self.device, say) if config.fid.every else None
        self.accelerator = Accelerator(config.accelerate, self.device, say)
        self.state = TrainState.new(config, self.device, plain=self.accelerator.plain)
        self.tolerated = Tolerated(say)
        self.saved: tuple[int, ...] = ()
        self.not_finite: list[str] = []
        self.failure: str | None = None

    # --- the run ------------------------------------------------------------------------------------------------------

    def run(self) -> dict[str, Any]:
        config, state = self.config, self.state
        self.session_started = self.resumed_mark = time.perf_counter()
        self.since_log = (state.iteration, state.training_seconds)
        self.wall_before = state.wall_seconds
        # What came from a checkpoint may be broken: with train.on_divergence=continue such weights are saved too.
        self.check_finite({})
        with StopSignals() as self.stop, Progress(state.iteration, config.train.iterations) as self.progress:
            with self.tolerated.failing("writing result.json"):
                self.write_result("running")
            status = self.advance()
            if status != "diverged" or config.train.on_divergence == "continue":
                self.save()
        try:
            result = self.write_result(status)
        except OSError as error:
            raise UserError(f"{self.folder.result}: cannot be written ({one_line(error)}); call it again") from error
        if status == "interrupted":
            result["signal"] = self.stop.received
        print_outcome(result, self.folder)
        return result

    def advance(self) -> str:
        """Trains to the last iteration, a stop, or a divergence that ends the run; the status then."""
        state, train_config = self.state, self.config.train
        ends_by_diverging = train_config.on_divergence == "stop"
        if self.not_finite and ends_by_diverging:
            return "diverged"
        try:
            self.draw_grid()
            self.attend()
            for measured in train(state, self.data, self.config, self.accelerator):
                self.progress.step()
                if self.anything_due() or self.stop.received is not None:
                    self.look(measured)
                    if self.not_finite and ends_by_diverging:
                        return "diverged"
                    self.attend()
                if self.stop.received is not None and state.iteration < train_config.iterations:
                    raise Stopped
        except Stopped:
            say("stopping: saving first; a second Ctrl-C leaves at once")
            return "interrupted"
        return "diverged" if self.not_finite else "finished"

    def due(self, every: int | None) -> bool:
        """Whether something that happens each so many iterations, and at the end, happens now."""
        iteration = self.state.iteration
        return every is not None and (iteration % every == 0 or iteration == self.config.train.iterations)

    def anything_due(self) -> bool:
        train, fid = self.config.train, self.config.fid
        return any(map(self.due, (train.log_every, train.sample_every, train.checkpoint_every, fid.every)))

    def look(self, measured: Metrics) -> None:
        """Reads what the last iteration measured; logs it, and the sample grid, where they are due."""
        values = self.read(measured)
        self.check_finite(values)
        line = {}
        if self.due(self.config.train.log_every) or self.not_finite:
            line = self.with_rate(values)
        diversity = self.draw_grid()
        if diversity is not None:
            line["grid/pixel_sd"] = diversity
        if line:
            finite = {name: value if value is None or math.isfinite(value) else None for name, value in line.items()}
            with self.tolerated.failing("writing metrics.jsonl"):
                self.folder.append_metrics({"iteration": self.state.iteration, **finite})  # JSON has no NaN

    def check_finite(self, values: dict[str, float]) -> None:
        networks = {"generator": self.state.generator, "discriminator": self.state.discriminator}
        self.not_finite = not_finite(values, networks)
        if self.not_finite and self.state.diverged is None:
            self.state.diverged = {"iteration": self.state.iteration, "not_finite": self.not_finite}

    def attend(self) -> None:
        """Scores and a checkpoint, where they are due. Afterwards the training clock goes on.

        Raises:
            Stopped: while it scored.
        """
        if self.due(self.config.fid.every):
            with self.stop.breaking_off():
                self.score()
        if self.due(self.config.train.checkpoint_every) and self.state.iteration > 0:
            self.save(periodic=True)
        self.resumed_mark = time.perf_counter()

    def draw_grid(self) -> float | None:
        """Where it is due: 64 images from latents that stay the same throughout the run, and how much they vary."""
        if not self.due(self.config.train.sample_every):
            return None
        diversity = None
        with self.tolerated.failing("drawing a sample grid"):
            (images,) = sample(
                self.state.generator,
                GRID,
                seed=self.config.seed,
                purpose="grid/latent",
                batch_norm=self.config.fid.batch_norm,
                batch_size=GRID,
            )
            diversity = pairwise_sd(images)
            self.state.diversity = {"iteration": self.state.iteration, "pixel_sd": diversity}
            path = self.folder.sample(self.state.iteration)
            write_atomically(path, lambda file: save_image(images.float() / 255, file, format="png", nrow=8))
        return diversity

    def score(self) -> None:
        """Scores that a checkpoint brought along are not computed again. One that fails is recorded with its reason."""
        iteration, state = self.state.iteration, self.state
        protocols = self.scorer.protocols()
        histories = {name: state.scores.get(p.fingerprint, ScoreHistory(p)) for name, p in protocols.items()}
        if all(history.reaches(iteration) for history in histories.values()):
            return
        state.failed_scores = [failed for failed in state.failed_scores if failed["iteration"] != iteration]
        try:
            if self.not_finite:
                raise ValueError(f"not finite: {', '.join(self.not_finite)}")
            values = self.scorer.score(state.generator, self.config.seed)
            if not all(map(math.isfinite, values.values())):
                raise ValueError(f"came out as {values}")
        except Exception as error:
            reason = one_line(error) or type(error).__name__
            state.failed_scores.append({"iteration": iteration, "reason": reason})
            say(f"warning: the score at iteration {iteration:,} failed ({reason}); training goes on")
        else:
            for name, value in values.items():
                if not histories[name].reaches(iteration):
                    histories[name].add(iteration, value)
                state.scores[histories[name].protocol.fingerprint] = histories[name]
            shown = {score_label(name, h.protocol.as_dict()): h.entries[-1][1] for name, h in histories.items()}
            self.progress.note(shown, at_once=True)
        with self.tolerated.failing("writing result.json"):
            self.write_result("running")

    def read(self, measured: Metrics) -> dict[str, float]:
        """From the device to the host; stops the training clock, since now the device has caught up."""
        names, values = zip(*measured.items(), strict=True)
        values = torch.stack(values).tolist()
        now = time.perf_counter()
        self.state.training_seconds += now - self.resumed_mark
        self.resumed_mark = now
        return dict(zip(names, values, strict=True))

    def with_rate(self, values: dict[str, float]) -> dict[str, float | None]:
        """A line of metrics.jsonl. images_per_second: real images that the discriminator has seen."""
        iterations = self.state.iteration - self.since_log[0]
        seconds = self.state.training_seconds - self.since_log[1]
        self.since_log = (self.state.iteration, self.state.training_seconds)
        seen = iterations * self.config.optim.n_d * self.config.train.batch_size
        rate = iterations / seconds if seconds else 0.0
        losses = {"D": values["loss/discriminator"], "G": values["loss/generator"]}
        last = self.state.iteration == self.config.train.iterations
        self.progress.note({"it/s": rate} | losses, at_once=last and self.scorer is None)
        return {**values, "images_per_second": seen / seconds if seconds else None}

    def resume(self) -> None:
        """Goes on from the folder's newest whole checkpoint, if there is one. The folder must be held."""
        resume(self.state, self.store, self.folder, self.data, self.config)
        if self.state.iteration:
            self.saved = self.state.progress()

    # --- what is kept -------------------------------------------------------------------------------------------------

    def save(self, periodic: bool = False) -> None:
        """`last.pt`, unless it holds this state already; with `periodic`, also a file of its own for this iteration."""
        state = self.state
        path = self.store.periodic_path(state.iteration)
        content_is_new = self.saved != state.progress()
        if not content_is_new and (not periodic or path.exists()):
            return
        state.wall_seconds = self.wall_seconds()
        content = {**state.state_dict(), "config": asdict(self.config), "data_fingerprint": self.data.fingerprint}
        if content_is_new:
            with self.tolerated.failing("writing metrics.jsonl"):
                self.folder.flush_metrics()
            self.store.save_last(content)
            self.saved = state.progress()
        if periodic:
            self.store.save_periodic(content)

    def write_result(self, status: str, iteration: int | None = None) -> dict[str, Any]:
        """
        Args:
            iteration: that the run has come to, other than the state's.

        Raises:
            OSError: it cannot be written.
        """
        current = {p.fingerprint for p in self.scorer.protocols().values()} if self.scorer else set(self.state.scores)
        result = {
            "status": status,
            "not_finite": self.not_finite,
            "failure": self.failure,
            "command": self.command,
            "wall_seconds": self.wall_seconds(),
            "accelerate": {"asked": self.config.accelerate, "ran": self.accelerator.ran},
            **summary_of(self.config, self.state, self.data, self.device, current),
        }
        result["data"]["signature"] = self.signature
        if iteration is not None:
            result["iteration"] = iteration
        self.folder.write_result(result)
        return result

    def saved_iteration(self) -> int:
        return self.saved[0] if self.saved else 0

    def wall_seconds(self) -> float:
        return self.wall_before + time.perf_counter() - self.session_started
