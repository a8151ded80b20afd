"""What result.json says of a run's state. `rgan-table` reads nothing else."""

from dataclasses import asdict
from typing import Any

import torch

from rgan_bench.data.dataset import ImageDataset
from rgan_bench.health import pairwise_sd
from rgan_bench.provenance import versions
from rgan_bench.rng import draw_distinct, stream
from rgan_bench.schema import Config
from rgan_bench.state import TrainState

GRID = 64  # images of a sample grid, 8 a row


def summary_of(
    config: Config, state: TrainState, data: ImageDataset, device: torch.device, current: set[str]
) -> dict[str, Any]:
    """
    Args:
        current: fingerprints of the protocols that the run is scored under now. Scores under others stand apart.
    """
    shown = {h.protocol.score_name: h for h in state.scores.values() if h.protocol.fingerprint in current}
    others = [h for h in state.scores.values() if h is not shown.get(h.protocol.score_name)]
    return {
        "iteration": state.iteration,
        "scores": {name: history.summary() for name, history in shown.items()},
        "protocol": {name: history.protocol.as_dict() for name, history in shown.items()},
        "scores_under_other_protocols": [
            {"score": h.protocol.score_name, "protocol": h.protocol.as_dict(), **h.summary()} for h in others
        ],
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
        },
        "versions": {
            **versions(device),
            "deterministic": config.deterministic,
            "tf32": device.type == "cuda" and torch.backends.cudnn.allow_tf32,
        },
        "training_seconds": state.training_seconds,
        "iterations_per_second": state.iteration / state.training_seconds if state.training_seconds else None,
    }


def real_diversity(data: ImageDataset) -> float | None:
    """How much as many real images vary as a sample grid has; None where there is only one."""
    chosen = draw_distinct(min(GRID, len(data)), len(data), stream(0, "grid/real"))
    return pairwise_sd(data.images[chosen.to(data.images.device)]) if len(chosen) > 1 else None
