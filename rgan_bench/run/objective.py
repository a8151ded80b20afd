"""One number of a run, by which a search compares it with others. Imports no torch."""

import math
from collections.abc import Mapping

from rgan_bench.config.schema import Config
from rgan_bench.errors import UserError
from rgan_bench.scoring.protocol import HIGHER_IS_BETTER, Protocol, is_fid, metrics_of


def objective(config: Config, score: str | None = None) -> tuple[str, bool]:
    """(a score's name, whether higher is better).

    Args:
        score: which; None: the one that `rgan-table` shows first, the FID or another distance if there is one.

    Raises:
        UserError: the config asks for no such score.
    """
    known = {
        Protocol(features, "", 1, 1, "batch", 1, "", metric).score_name: metric
        for features in config.fid.features or ()
        for metric in metrics_of(features, config.fid.metrics)
    }
    if score is not None and score not in known:
        raise UserError(f"hydra.sweeper.score={score}: is not computed; fid asks for {', '.join(known)}")
    distances = ("frechet", "wasserstein")
    name = score or min(known, key=lambda name: (not is_fid(name), known[name] not in distances))
    return name, known[name] in HIGHER_IS_BETTER


def value_of(status: str, scores: Mapping[str, float], name: str, *, higher: bool) -> float | None:
    """What a search is told of a run.

    Args:
        status: of the run's outcome.
        scores: label → final value.

    Returns:
        The worst that there is, infinity or −infinity, of a run that diverged; None of one that has not come to its end
        or has no such score.
    """
    worst = -math.inf if higher else math.inf
    if status == "diverged":
        return worst
    found = next((value for label, value in scores.items() if label.split(" ")[0] == name), None)
    if status not in ("finished", "already finished") or found is None:
        return None
    return found if math.isfinite(found) else worst
