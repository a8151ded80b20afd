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
    counts = Counter(name for run in runs for name, p in run.result["protocol"].items() if p["metric"] == "frechet")
    if not counts:
        return "", [], {}, [left_out(run, "no score") for run in runs]
    score = "fid" if counts["fid"] else counts.most_common(1)[0][0]
    keys = {run.folder: protocol_key(run, score, same_arch) for run in runs}
    (chosen, _) = Counter(key for key in keys.values() if key).most_common(1)[0]
    kept = [run for run in runs if keys[run.folder] == chosen]
    others = [run for run in runs if keys[run.folder] != chosen]
    notes = [left_out(run, why_other(keys[run.folder], chosen, score)) for run in others]
    return score, kept, kept[0].result["protocol"][score], notes


def protocol_key(run: Run, score: str, same_arch: bool) -> tuple[tuple[str, Any], ...] | None:
    """Everything that must be equal for two scores to stand in one table."""
    protocol = run.result["protocol"].get(score)
    if protocol is None:
        return None
    ours = {key: value for key, value in protocol.items() if key not in ("fingerprint", "rank_deficient")}
    ours["iterations"] = run.iterations
    if same_arch:
        ours |= {"arch": run.config["arch"]["name"], "width": run.config["arch"]["width"]}
    return tuple(sorted(ours.items()))


def why_other(key: tuple | None, chosen: tuple, score: str) -> str:
    if key is None:
        return f"has no {score}"
    differences = [
        f"{name} {mine}, not {theirs}" for (name, mine), (_, theirs) in zip(key, chosen, strict=True) if mine != theirs
    ]
    return "; ".join(differences)


def left_out(run: Run, reason: str) -> str:
    return f"left out: {run.folder.name} ({reason})"
