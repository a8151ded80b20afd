"""The composition root: builds the parts, and turns iterations into samples, scores, checkpoints, logs, result.json."""

import contextlib
import math
import time
from dataclasses import asdict
from typing import Any

import torch
from torchvision.utils import save_image

from rgan_bench.checkpoint import load_checkpoint, save_checkpoint
from rgan_bench.console import Progress, print_block, print_outcome, say, score_label
from rgan_bench.data import load_data
from rgan_bench.devices import resolve_device
from rgan_bench.errors import UserError, one_line
from rgan_bench.files import write_atomically, write_text_atomically
from rgan_bench.locks import held
from rgan_bench.protocol import ScoreHistory
from rgan_bench.provenance import versions
from rgan_bench.runs import RunFolder
from rgan_bench.sampling import sample
from rgan_bench.schema import Config
from rgan_bench.scoring import Scorer
from rgan_bench.state import TrainState
from rgan_bench.steps import Metrics
from rgan_bench.stops import StopSignals
from rgan_bench.summary import introduction
from rgan_bench.training import train

GRID = 64  # images of a sample grid, 8 a row


def run_experiment(
    config: Config, hydra_files: dict[str, str] | None = None, command: str | None = None
) -> dict[str, Any] | None:
    """Trains to `train.iterations`, from scratch or from where the run's folder stands.

    Args:
        hydra_files: name → content of what goes into the folder's `.hydra/`.
        command: that makes this run, for result.json.

    Returns:
        The content of result.json. Its `status` is finished, diverged, or interrupted, then with the `signal`'s number.
        None where another process finished the run while this one got ready.

    Raises:
        UserError: something is wrong with the input. A folder that did not exist is then not made.
        Busy: another process trains this run.
    """
    experiment = Experiment(config, command)
    state, folder = experiment.state, experiment.folder
    folder.create()
    with held(folder.lock):
        if folder.finished_result(config.train.iterations):
            return None
        experiment.resume()
        for name, content in (hydra_files or {}).items():
            (folder.path / ".hydra").mkdir(exist_ok=True)
            write_text_atomically(folder.path / ".hydra" / name, content)
        print_block(introduction(config, experiment.data, state, experiment.device, folder))
        try:
            return experiment.run()
        except Exception as error:
            experiment.failure = one_line(f"{type(error).__name__}: {error}")
            with contextlib.suppress(OSError):
                experiment.write_result("failed")
            raise


class Experiment:
    """One run. Making it loads and checks everything that can fail; it writes nothing."""

    def __init__(self, config: Config, command: str | None = None) -> None:
        self.config, self.command = config, command
        self.folder = RunFolder.of(config)
        self.device = resolve_device(config.device)
        data = load_data(config.data)
        needed = config.train.batch_size * config.arch.pac
        if needed > len(data):
            stacks = f" in stacks of arch.pac={config.arch.pac}" if config.arch.pac > 1 else ""
            raise UserError(
                f"train.batch_size={config.train.batch_size}: a batch draws {needed} distinct images{stacks}, "
                f"and the data set has {len(data)} images; set at most {len(data) // config.arch.pac}"
            )
        self.data = data.to(self.device)
        self.scorer = Scorer(config.fid, self.data, self.device, say) if config.fid.every else None
        self.state = TrainState.new(config, self.device)
        self.not_finite: list[str] = []
        self.failure: str | None = None

    # --- the run ------------------------------------------------------------------------------------------------------

    def run(self) -> dict[str, Any]:
        config, state = self.config, self.state
        self.session_started = self.resumed_mark = time.perf_counter()
        self.since_log = (state.iteration, state.training_seconds)
        self.wall_before = state.wall_seconds
        self.folder.trim_metrics(state.iteration)
        status = "finished"
        with StopSignals(say) as stop, Progress(state.iteration, config.train.iterations) as self.progress:
            self.write_result("running")
            self.attend()
            self.resumed_mark = time.perf_counter()
            for measured in train(state, self.data, config):
                self.progress.step()
                if self.due(config.train.log_every) or self.anything_due():
                    values = self.read(measured)
                    self.not_finite = [name for name, value in values.items() if not math.isfinite(value)]
                    if self.not_finite:
                        status = "diverged"
                        self.log(values)
                        break
                    if self.due(config.train.log_every):
                        self.log(values)
                    self.attend()
                    self.resumed_mark = time.perf_counter()
                if stop.received is not None and state.iteration < config.train.iterations:
                    self.read(measured)
                    status = "interrupted"
                    break
            if status != "diverged":
                self.save()
        result = self.write_result(status)
        if status == "interrupted":
            result["signal"] = stop.received
        print_outcome(result, self.folder.path)
        return result

    def due(self, every: int | None) -> bool:
        """Whether something that happens each so many iterations, and at the end, happens now."""
        iteration = self.state.iteration
        return every is not None and (iteration % every == 0 or iteration == self.config.train.iterations)

    def anything_due(self) -> bool:
        train, fid = self.config.train, self.config.fid
        return any(map(self.due, (train.sample_every, train.checkpoint_every, fid.every)))

    def attend(self) -> None:
        """Whatever is due at the current iteration: a sample grid, scores, a checkpoint."""
        if self.due(self.config.train.sample_every):
            self.draw_grid()
        if self.due(self.config.fid.every):
            self.score()
        if self.due(self.config.train.checkpoint_every) and self.state.iteration > 0:
            self.save(keep=True)

    def draw_grid(self) -> None:
        """64 images from latents that stay the same throughout the run."""
        (images,) = sample(
            self.state.generator,
            GRID,
            seed=self.config.seed,
            purpose="grid/latent",
            batch_norm=self.config.fid.batch_norm,
            batch_size=GRID,
        )
        path = self.folder.sample(self.state.iteration)
        write_atomically(path, lambda file: save_image(images.float() / 255, file, format="png", nrow=8))

    def score(self) -> None:
        """Scores that a checkpoint brought along are not computed again."""
        protocols = self.scorer.protocols()
        histories = {name: self.state.scores.get(p.fingerprint, ScoreHistory(p)) for name, p in protocols.items()}
        if all(history.reaches(self.state.iteration) for history in histories.values()):
            return
        for name, value in self.scorer.score(self.state.generator, self.config.seed).items():
            history = histories[name]
            if not history.reaches(self.state.iteration):
                history.add(self.state.iteration, value)
            self.state.scores[history.protocol.fingerprint] = history
        shown = {score_label(name, h.protocol.as_dict()): h.entries[-1][1] for name, h in histories.items()}
        self.progress.note(shown, at_once=True)
        self.write_result("running")

    def read(self, measured: Metrics) -> dict[str, float]:
        """From the device to the host; stops the training clock, since now the device has caught up."""
        names, values = zip(*measured.items(), strict=True)
        values = torch.stack(values).tolist()
        now = time.perf_counter()
        self.state.training_seconds += now - self.resumed_mark
        self.resumed_mark = now
        return dict(zip(names, values, strict=True))

    def log(self, values: dict[str, float]) -> None:
        """A line of metrics.jsonl. images_per_second: real images that the discriminator has seen."""
        iterations = self.state.iteration - self.since_log[0]
        seconds = self.state.training_seconds - self.since_log[1]
        self.since_log = (self.state.iteration, self.state.training_seconds)
        seen = iterations * self.config.optim.n_d * self.config.train.batch_size
        finite = {name: value if math.isfinite(value) else None for name, value in values.items()}  # JSON has no NaN
        self.folder.append_metrics(
            {"iteration": self.state.iteration, **finite, "images_per_second": seen / seconds if seconds else None}
        )
        rate = iterations / seconds if seconds else 0.0
        losses = {"D": values["loss/discriminator"], "G": values["loss/generator"]}
        last = self.state.iteration == self.config.train.iterations
        self.progress.note({"it/s": rate} | losses, at_once=last and self.scorer is None)

    # --- what is kept -------------------------------------------------------------------------------------------------

    def save(self, keep: bool = False) -> None:
        """`last.pt`; with `keep`, also a file of its own for this iteration."""
        self.state.wall_seconds = self.wall_seconds()
        content = {
            **self.state.state_dict(),
            "config": asdict(self.config),
            "data_fingerprint": self.data.fingerprint,
        }
        try:
            if keep:
                save_checkpoint(self.folder.checkpoint(self.state.iteration), content)
            save_checkpoint(self.folder.last_checkpoint, content)
        except OSError as error:
            raise UserError(
                f"{self.folder.checkpoints}: cannot save iteration {self.state.iteration} ({one_line(error)}); "
                "free some space and call the same command again: it continues from the last checkpoint"
            ) from error

    def resume(self) -> None:
        """Goes on from the folder's last checkpoint, if there is one. The folder must be held.

        Raises:
            UserError: the checkpoint is of other images or another architecture.
        """
        path = self.folder.last_checkpoint
        if not path.exists():
            return
        content = load_checkpoint(path)
        if content.get("data_fingerprint") != self.data.fingerprint:
            raise UserError(
                f"{path}: was trained on other images than {self.data.source} now holds; move {self.folder.path} away "
                "to start anew, or bring the old images back"
            )
        try:
            self.state.load_state_dict(content)
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            raise UserError(
                f"{path}: is a checkpoint of another arch than {self.config.arch.name} as configured "
                f"({one_line(error)[:200]}); move it away to start anew"
            ) from error

    def write_result(self, status: str) -> dict[str, Any]:
        state = self.state
        current = {p.fingerprint for p in self.scorer.protocols().values()} if self.scorer else set(state.scores)
        shown = {h.protocol.score_name: h for h in state.scores.values() if h.protocol.fingerprint in current}
        others = [h for h in state.scores.values() if h is not shown.get(h.protocol.score_name)]
        result = {
            "status": status,
            "not_finite": self.not_finite,  # what diverged
            "failure": self.failure,
            "iteration": state.iteration,
            "scores": {name: history.summary() for name, history in shown.items()},
            "protocol": {name: history.protocol.as_dict() for name, history in shown.items()},
            "scores_under_other_protocols": [
                {"score": h.protocol.score_name, "protocol": h.protocol.as_dict(), **h.summary()} for h in others
            ],
            "command": self.command,
            "config": asdict(self.config),
            "data": {
                "name": self.data.name,
                "source": self.data.source,
                "images": len(self.data),
                "image_size": self.data.image_size,
                "skipped": self.data.skipped,
                "fingerprint": self.data.fingerprint,
            },
            "versions": versions(self.device),
            "wall_seconds": self.wall_seconds(),
            "training_seconds": state.training_seconds,
            "iterations_per_second": state.iteration / state.training_seconds if state.training_seconds else None,
        }
        self.folder.write_result(result)
        return result

    def wall_seconds(self) -> float:
        return self.wall_before + time.perf_counter() - self.session_started
