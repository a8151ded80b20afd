"""Scores a run on its way, and keeps them in its state."""

import math
from collections.abc import Callable

from rgan_bench.console import score_label
from rgan_bench.errors import one_line
from rgan_bench.scoring.protocol import ScoreHistory
from rgan_bench.scoring.scorer import Scorer
from rgan_bench.training.state import TrainState


def judge(
    state: TrainState, scorer: Scorer, seed: int, not_finite: list[str], say: Callable[[str], None]
) -> dict[str, float] | None:
    """Adds the scores at the state's iteration to its histories. One that fails is recorded with its reason, and said.

    Args:
        not_finite: what is known to be broken: such a generator is not scored.

    Returns:
        The scores, by their names for people; None where there was nothing to do, since a checkpoint brought them
        along. Empty: they failed.
    """
    iteration = state.iteration
    protocols = scorer.protocols()
    histories = {name: state.scores.get(p.fingerprint, ScoreHistory(p)) for name, p in protocols.items()}
    if all(history.reaches(iteration) for history in histories.values()):
        return None
    state.failed_scores = [failed for failed in state.failed_scores if failed["iteration"] != iteration]
    try:
        if not_finite:
            raise ValueError(f"not finite: {', '.join(not_finite)}")
        values = scorer.score(state.generator, seed)
        if not all(map(math.isfinite, values.values())):
            raise ValueError(f"came out as {values}")
    except Exception as error:
        reason = one_line(error) or type(error).__name__
        state.failed_scores.append({"iteration": iteration, "reason": reason})
        say(f"warning: the score at iteration {iteration:,} failed ({reason}); training goes on")
        return {}
    for name, value in values.items():
        if not histories[name].reaches(iteration):
            histories[name].add(iteration, value)
        state.scores[histories[name].protocol.fingerprint] = histories[name]
    return {
        score_label(name, history.protocol.as_dict()): history.entries[-1][1] for name, history in histories.items()
    }
