"""Scores a run on its way, and keeps them in its state."""

import math
from collections.abc import Callable, Iterable

from rgan_bench import ranks
from rgan_bench.console import score_label
from rgan_bench.errors import one_line
from rgan_bench.scoring.protocol import ScoreHistory
from rgan_bench.scoring.scorer import Scorer
from rgan_bench.training.state import TrainState


def judge(
    state: TrainState, scorer: Scorer, seed: int, not_finite: list[str], say: Callable[[str], None]
) -> dict[str, float] | None:
    """Adds the scores at the state's iteration to its histories. One that fails is recorded with its reason, and said.

    Each generator is scored by itself, from the same latents: what one fails at, the other may not.

    Args:
        not_finite: what is known to be broken: such a generator is not scored.

    Returns:
        The scores, by their names for people; None where there was nothing to do, since a checkpoint brought them
        along. Empty: they failed.
    """
    iteration = state.iteration
    histories = {which: histories_of(state, scorer, which) for which in state.generators()}
    wanted = scorer.fid.sampling_seeds
    missing = {which: draws_to_make(mine.values(), iteration, wanted) for which, mine in histories.items()}
    missing = {which: draws for which, draws in missing.items() if draws}
    if not missing:
        return None
    state.failed_scores = [failed for failed in state.failed_scores if failed["iteration"] != iteration]
    scores: dict[str, float] = {}
    for which, draws in missing.items():
        try:
            for draw in draws:
                values = scores_of(state, scorer, seed, which, not_finite, draw)
                for name, history in histories[which].items():
                    if draw >= history.drawn(iteration):
                        history.add(iteration, values[name])
                    state.scores[history.protocol.fingerprint] = history
        except Exception as error:
            reason = "the average: " * (which == "ema") + (one_line(error) or type(error).__name__)
            state.failed_scores.append({"iteration": iteration, "reason": reason})
            say(f"warning: the score at iteration {iteration:,} failed ({reason}); training goes on")
            continue
        for name, history in histories[which].items():
            scores[score_label(name, history.protocol.as_dict())] = history.entries[-1][1]
    if scores and all(taken["iteration"] != iteration for taken in state.score_seconds):
        state.score_seconds.append({"iteration": iteration, "training_seconds": state.training_seconds})
    return scores


def draws_to_make(histories: Iterable[ScoreHistory], iteration: int, wanted: int) -> range:
    """The numbers of the draws that some of these histories lacks at this iteration; one that goes beyond it lacks
    none."""
    known = [wanted if h.goes_beyond(iteration) else h.drawn(iteration) for h in histories]
    return range(min(known), wanted)


def histories_of(state: TrainState, scorer: Scorer, which: str) -> dict[str, ScoreHistory]:
    """Score's name → what is known of it, of one of the state's generators."""
    protocols = scorer.protocols(which=which)
    return {name: state.scores.get(p.fingerprint, ScoreHistory(p)) for name, p in protocols.items()}


def scores_of(
    state: TrainState, scorer: Scorer, seed: int, which: str, not_finite: list[str], draw: int
) -> dict[str, float]:
    """Score's name → value of one of the state's generators, in one draw of fakes.

    Raises:
        ValueError: it is not finite, or a value is not.
    """
    others = {"raw": "weights/generator_ema", "ema": "weights/generator"}
    broken = [name for name in not_finite if name != others[which]]
    if broken:
        raise ValueError(f"not finite: {', '.join(broken)}")
    ranks.from_first((which, draw))  # which the other ranks help to compute
    values = scorer.score(state.generators()[which], seed, which, draw)
    if not all(map(math.isfinite, values.values())):
        raise ValueError(f"came out as {values}")
    return values
