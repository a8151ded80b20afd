"""Which runs may stand in one table: those whose scores have one protocol, and of copies of a run only one."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from rgan_bench.console import score_label
from rgan_bench.report.runs import Run, Score
from rgan_bench.scoring.protocol import is_fid

Key = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Comparable:
    """
    Attributes:
        score: its name; empty: no run has one.
        runs: one a training and seed, each with its score under `protocol`.
        others: the runs that have no score under it.
        notes: on everything left out, and why.
    """

    score: str = ""
    protocol: dict[str, Any] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    others: list[Run] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        return score_label(self.score, self.protocol) if self.protocol else self.score


def choose_protocol(runs: list[Run], score: str | None = None, same_arch: bool = True) -> Comparable:
    """Of the score's protocols the one of most runs.

    A run that was scored under several protocols counts for each, and is taken under the one that is chosen.

    Args:
        score: its name; None: the main one, as `score_names` has it.
        same_arch: whether networks of other names or widths stay apart too.
    """
    if score is None:
        score = next(iter(score_names(runs)), "")
    if not score:
        return Comparable(others=runs, notes=[left_out(run, no_score(run, "score")) for run in runs])
    variants = {run.folder: as_scored(run, score, same_arch) for run in runs}
    # Of copies one counts; at a tie the protocol under which more runs stand now, then the one that was found first.
    cast = dict.fromkeys((key, run.same_run_key) for run in runs for key in variants[run.folder])
    votes = Counter(key for key, _ in cast)
    present = Counter(next(iter(variants[run.folder])) for run in runs if variants[run.folder])
    chosen = max(votes, key=lambda key: (votes[key], present[key]))
    kept = [variants[run.folder][chosen] for run in runs if chosen in variants[run.folder]]
    others = [run for run in runs if chosen not in variants[run.folder]]
    notes = [left_out(run, why_other(run, next(iter(variants[run.folder]), None), chosen, score)) for run in others]
    once, copies = without_copies(kept, score)
    return Comparable(score, once[0].scores[score].protocol, once, others, copies + notes)


def score_names(runs: Iterable[Run]) -> list[str]:
    """Of all scores, the main one first: the FID if any run has it, else the distance of most runs: of images a Fréchet
    distance, of points the Wasserstein distance. Then the others that are such, and the rest, those of most runs first.
    """
    scored = {(score.name, run.same_run_key): score.protocol["metric"] for run in runs for score in all_scores(run)}
    counts = Counter(name for name, _ in scored)
    main = {name for (name, _), metric in scored.items() if metric in ("frechet", "wasserstein")}
    return sorted(counts, key=lambda name: (not is_fid(name), name not in main, -counts[name]))


def all_scores(run: Run) -> list[Score]:
    """The present ones, and those under earlier protocols that are of the run's end."""
    return [*run.scores.values(), *filter(run.reaches, run.others)]


def has_score(run: Run, name: str) -> bool:
    return any(score.name == name for score in all_scores(run))


def average_draws(chosen: Comparable) -> Comparable:
    """Each run's score as the mean over draws of fakes (sampling seeds), where all runs have equally many; and a note.

    Else the first draw, which all runs have, since a mean over more draws scatters less.
    """
    name = chosen.score
    counts = {run.scores[name].draws for run in chosen.runs if run.final(name) is not None}
    if not counts - {1}:
        return chosen
    if len(counts) > 1:
        shown = " or ".join(map(str, sorted(counts)))
        return replace(chosen, notes=[*chosen.notes, f"runs have {shown} draws of fakes: the first of each is taken"])
    runs = [replace(run, scores={**run.scores, name: run.scores[name].averaged()}) for run in chosen.runs]
    note = f"each value is the mean of {min(counts)} draws of fakes from one generator"
    return replace(chosen, runs=runs, notes=[*chosen.notes, note])


def as_scored(run: Run, score: str, same_arch: bool) -> dict[Key, Run]:
    """Protocol → the run with its score under it: the present one first, then those before that go to the end."""
    found = {key_of(run, score, same_arch): run} if score in run.scores else {}
    for other in run.others:
        if other.name == score and run.reaches(other):
            before = replace(run, scores={**run.scores, score: other})
            found.setdefault(key_of(before, score, same_arch), before)
    return found


def key_of(run: Run, score: str, same_arch: bool) -> Key:
    """Everything that must be equal for two scores to stand in one table."""
    protocol = run.scores[score].protocol
    ours = {key: value for key, value in protocol.items() if key not in ("fingerprint", "rank_deficient")}
    ours["iterations"] = run.iterations
    if same_arch:
        ours |= {"arch": run.config["arch"]["name"], "width": run.config["arch"]["width"]}
    return tuple(sorted(ours.items()))


def why_other(run: Run, key: Key | None, chosen: Key, score: str) -> str:
    if key is None:
        return no_score(run, score)
    mine, theirs = dict(key), dict(chosen)
    names = [name for name in sorted({*mine, *theirs}) if mine.get(name) != theirs.get(name)]
    return "; ".join(f"{name} {mine.get(name)}, not {theirs.get(name)}" for name in names)


def no_score(run: Run, score: str) -> str:
    reasons = "; ".join(f"not scored at {iteration:,}: {reason}" for iteration, reason in run.failed)
    return f"has no {score}" + (f"; {reasons}" if reasons else "")


def left_out(run: Run, reason: str) -> str:
    return f"left out: {run.title} ({reason})"


# --- copies -----------------------------------------------------------------------------------------------------------


def without_copies(runs: list[Run], score: str) -> tuple[list[Run], list[str]]:
    """One run a training and seed, whatever folders it lies in; and notes on the others.

    A run and its copies give the same numbers: as seeds of their own they would hide the spread between seeds. Of
    unequal ones (a copy from before the run went on) the one furthest along is kept: finished, then iterations.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.same_run_key, []).append(run)
    kept, notes = [], []
    for group in groups.values():
        best = max(group, key=lambda run: (run.status == "finished", run.iteration))
        kept.append(best)
        notes += [copy_note(run, best, score) for run in group if run is not best]
    return kept, notes


def copy_note(run: Run, best: Run, score: str) -> str:
    name = f", under the name {run.loss}" if run.loss != best.loss else ""
    if standing(run) != standing(best):
        return left_out(run, f"training and seed of {best.title}{name}, {standing(run)}; that one: {standing(best)}")
    if scored(run.scores[score]) != scored(best.scores[score]):
        return left_out(run, f"training and seed of {best.title}{name}, with other scores; the first found is taken")
    return f"counted once: {run.title} is a copy of {best.title}{name}"


def standing(run: Run) -> str:
    return f"{run.status} at {run.iteration:,}"


def scored(score: Score) -> tuple[Any, ...]:
    return score.final, score.history, score.table3
