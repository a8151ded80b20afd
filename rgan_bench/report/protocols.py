"""Which runs may stand in one table: those whose scores have one protocol."""

from collections import Counter
from typing import Any

from rgan_bench.report.runs import Run


def choose_protocol(runs: list[Run], same_arch: bool = True) -> tuple[str, list[Run], dict[str, Any], list[str]]:
    """(score, runs that share one protocol, that protocol, notes on those left out).

    The FID if any run has it, else the score of most runs; of its protocols the one of most runs.

    Args:
        same_arch: whether networks of other names or widths stay apart too.
    """
    found = [score for run in runs for score in run.scores.values()]
    counts = Counter(score.name for score in found if score.protocol["metric"] == "frechet")
    if not counts:
        return "", [], {}, [left_out(run, "no score") for run in runs]
    score = "fid" if counts["fid"] else counts.most_common(1)[0][0]
    keys = {run.folder: protocol_key(run, score, same_arch) for run in runs}
    (chosen, _) = Counter(key for key in keys.values() if key).most_common(1)[0]
    kept = [run for run in runs if keys[run.folder] == chosen]
    others = [run for run in runs if keys[run.folder] != chosen]
    notes = [left_out(run, why_other(keys[run.folder], chosen, score)) for run in others]
    return score, kept, kept[0].scores[score].protocol, notes


def protocol_key(run: Run, score: str, same_arch: bool) -> tuple[tuple[str, Any], ...] | None:
    """Everything that must be equal for two scores to stand in one table."""
    found = run.scores.get(score)
    if found is None:
        return None
    ours = {key: value for key, value in found.protocol.items() if key not in ("fingerprint", "rank_deficient")}
    ours["iterations"] = run.iterations
    if same_arch:
        ours |= {"arch": run.config["arch"]["name"], "width": run.config["arch"]["width"]}
    return tuple(sorted(ours.items()))


def why_other(key: tuple | None, chosen: tuple, score: str) -> str:
    if key is None:
        return f"has no {score}"
    mine, theirs = dict(key), dict(chosen)
    names = [name for name in sorted({*mine, *theirs}) if mine.get(name) != theirs.get(name)]
    return "; ".join(f"{name} {mine.get(name)}, not {theirs.get(name)}" for name in names)


def left_out(run: Run, reason: str) -> str:
    return f"left out: {run.title} ({reason})"
