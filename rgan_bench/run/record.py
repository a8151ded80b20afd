"""What result.json says of a run's state. `rgan-table` reads nothing else."""

import contextlib
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch

from rgan_bench import ranks
from rgan_bench.config.identity import identity_of, plugins_used
from rgan_bench.config.schema import Config
from rgan_bench.data.dataset import ImageDataset
from rgan_bench.plugins import load_plugins
from rgan_bench.rng import draw_distinct, stream
from rgan_bench.run.clock import Clock
from rgan_bench.run.folder import RunFolder
from rgan_bench.run.health import GRID, pairwise_sd
from rgan_bench.run.parts import Parts
from rgan_bench.run.provenance import versions
from rgan_bench.run.tolerated import Tolerated
from rgan_bench.training.state import TrainState


class Record:
    """A run's result.json.

    Attributes:
        clock: once the run goes on.
        not_finite: names of what was not finite when numbers were last read.
    """

    def __init__(
        self, config: Config, parts: Parts, folder: RunFolder, command: str | None, say: Callable[[str], None]
    ) -> None:
        """
        Args:
            command: that makes the run.
        """
        self.config, self.parts, self.folder, self.command = config, parts, folder, command
        self.clock: Clock | None = None
        self.not_finite: list[str] = []
        self.tolerated = Tolerated(say)

    def write(self, status: str, failure: str | None = None, **other: Any) -> dict[str, Any]:
        """
        Args:
            failure: why the run failed.
            other: entries that differ from the state's.

        Raises:
            OSError: it cannot be written.
        """
        so_far = {"status": status, "not_finite": self.not_finite, "failure": failure, "command": self.command}
        wall_seconds = self.clock.wall_seconds() if self.clock else self.parts.state.wall_seconds
        result = so_far | result_of(self.config, self.parts, wall_seconds) | other
        self.folder.write_result(result)
        return result

    def tell(self, status: str) -> None:
        """As `write`, on the way: training goes on where it cannot be written."""
        with self.tolerated.failing("writing result.json"):
            self.write(status)

    def break_off(self, status: str, saved_iteration: int, failure: str | None = None) -> dict[str, Any]:
        """The session ends without a save: the run stands where it was last saved."""
        with contextlib.suppress(OSError):
            return self.write(status, failure, iteration=saved_iteration)
        return {"status": status, "failure": failure}


def result_of(config: Config, parts: Parts, wall_seconds: float) -> dict[str, Any]:
    """What result.json tells of a run's state and origin; how the session stands is added by the caller."""
    state, data, device = parts.state, parts.data, parts.device
    current = set(state.scores)
    if parts.scorer:
        asked = [parts.scorer.protocols(which=which) for which in state.generators()]
        current = {protocol.fingerprint for protocols in asked for protocol in protocols.values()}
    # Scores under protocols that the run had before stand apart.
    shown = {h.protocol.score_name: h for h in state.scores.values() if h.protocol.fingerprint in current}
    others = [h for h in state.scores.values() if h is not shown.get(h.protocol.score_name)]
    plugins = plugins_used(asdict(config))
    return {
        "wall_seconds": wall_seconds,
        "accelerate": {"asked": config.accelerate, "ran": parts.accelerator.ran},
        "identity": identity_of(asdict(config), plugins),
        "plugins": {plugin.name: plugin.digest for plugin in load_plugins(config.plugins)},
        "iteration": state.iteration,
        "scores": {name: history.summary() for name, history in shown.items()},
        "protocol": {name: history.protocol.as_dict() for name, history in shown.items()},
        "scores_under_other_protocols": [
            {"score": h.protocol.score_name, "protocol": h.protocol.as_dict(), **h.summary()} for h in others
        ],
        "scored_at": scored_at(config, state),
        "failed_scores": state.failed_scores,
        "diverged": state.diverged,
        "diversity": state.diversity and {**state.diversity, "real_pixel_sd": real_diversity(data)},
        "config": asdict(config),
        "data": {
            "name": data.name,
            "source": data.source,
            "images": len(data),
            "image_size": data.image_size,
            "skipped": data.skipped,
            "fingerprint": data.fingerprint,
            "signature": data.signature,
        },
        "versions": {
            **versions(device),
            "ranks": ranks.world().count,
            "deterministic": config.deterministic,
            "tf32": device.type == "cuda" and torch.backends.cudnn.allow_tf32,
        },
        "training_seconds": state.training_seconds,
        "iterations_per_second": state.iteration / state.training_seconds if state.training_seconds else None,
    }


def scored_at(config: Config, state: TrainState) -> list[dict[str, Any]]:
    """What had been spent when each score was taken. Of scores by earlier versions the seconds are not known."""
    seconds = {taken["iteration"]: taken["training_seconds"] for taken in state.score_seconds}
    return [
        {
            "iteration": iteration,
            "discriminator_steps": iteration * config.optim.n_d,
            "images": iteration * config.optim.n_d * config.train.batch_size * config.arch.pac,
            "training_seconds": seconds.get(iteration),
        }
        for iteration in sorted({at for history in state.scores.values() for at, _ in history.entries})
    ]


def real_diversity(data: ImageDataset) -> float | None:
    """How much as many real images vary as a sample grid has; None where there is only one."""
    chosen = draw_distinct(min(GRID, len(data)), len(data), stream(0, "grid/real"))
    return pairwise_sd(data.images[chosen.to(data.images.device)]) if len(chosen) > 1 else None
