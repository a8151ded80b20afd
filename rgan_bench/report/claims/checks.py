"""The claims of arXiv 1807.00734, answered from the runs at hand: supported, contradicted or undecided."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from rgan_bench.report.claims.claim import CONTRADICTED, SUPPORTED, UNDECIDED, Claim, Finding
from rgan_bench.report.claims.evidence import (
    Evidence,
    Group,
    by,
    command_of,
    counted,
    finding,
    setting_of,
    title_of,
    with_choice,
)
from rgan_bench.report.effort import effort_at, effort_to
from rgan_bench.report.formats import number, with_sign
from rgan_bench.report.paper import SETTINGS
from rgan_bench.report.runs import Run
from rgan_bench.report.statistics import compare_table
from rgan_bench.report.sweeps import flat, rank
from rgan_bench.scoring.protocol import is_fid

FASTER = (
    "RSGAN-GP and RaSGAN-GP with one discriminator step give better images than WGAN-GP with five, in a fifth of the "
    "time"
)
STABLER = "over the unstable settings of table 2, a relativistic loss's scores vary less than its counterpart's"
FEW_IMAGES = (
    "on the 2,011 photos of CAT 256, relativistic losses give good images where SGAN and LSGAN fail and WGAN-GP stays "
    "above an FID of 100"
)
FAILS = 100.0  # FID on CAT 256: what the paper's table 3 calls failing lies above, what it calls good below


def claims_of(runs: list[Run], score: str | None = None) -> list[Claim]:
    """
    Args:
        runs: as they were found; averaged generators are no part of the paper's claims.
        score: by which they are answered, but for CAT 256, which is about FIDs; None: the main one.
    """
    runs = [run.of("raw") for run in runs]
    evidence = Evidence.of(runs, score)
    found = [better(evidence), faster(evidence), stabler(evidence), few_images(runs)]
    if evidence.left_out:
        found[0].missing.append(
            f"{evidence.left_out:,} runs are left out: they have no {evidence.score or 'score'} under the protocol and "
            "at the number of iterations of the others (rgan-table names them)"
        )
    return found


# --- (a) --------------------------------------------------------------------------------------------------------------


def better(evidence: Evidence) -> Claim:
    claim = Claim("better", "a relativistic loss gives better images than its counterpart that is not relativistic")
    pairs = counterparts(evidence)
    tests = evidence.compare([(one, two) for _, one, two in pairs])
    for (title, one, two), test in zip(pairs, tests, strict=True):
        claim.findings.append(finding(evidence, title, one, two, test))
    lonely = [
        (group, with_choice(loss, comparison="none"))
        for (setting, loss), group in evidence.groups.items()
        if is_relativistic(loss) and (setting, with_choice(loss, comparison="none")) not in evidence.groups
    ]
    claim.missing.extend(dict.fromkeys(needs(group, loss) for group, loss in lonely))
    if not pairs and not lonely:
        example = "rgan-train -m loss=sgan,rasgan seed=1,2,3,4,5"
        claim.missing.append(f"runs of a relativistic loss and of its counterpart: {example}")
    return claim


def is_relativistic(loss: str) -> bool:
    comparison: str = json.loads(loss)[0]["comparison"]
    return comparison != "none"


def counterparts(evidence: Evidence) -> list[tuple[str, Group, Group]]:
    """(setting, relativistic group, the group that differs in nothing but not being so)."""
    everyone = [group[0] for group in evidence.groups.values()]
    found = []
    for (setting, loss), group in evidence.groups.items():
        other = evidence.groups.get((setting, with_choice(loss, comparison="none")))
        if is_relativistic(loss) and other:
            found.append((title_of(group[0], everyone), group, other))
    return sorted(found, key=lambda pair: order_of(pair[1][0]))


def order_of(run: Run) -> list[Any]:
    """Settings in the order of their values, and losses within them."""
    mine = flat(run)
    return [rank(mine[key]) for key in sorted(mine) if not key.startswith("loss")] + [rank(run.row)]


def needs(group: Group, loss: str) -> str:
    chosen, _ = json.loads(loss)
    how = f": {command_of(group[0], 'loss=…')}" if group[0].folder.is_dir() else ""
    return (
        f"the counterpart of {group[0].row} under the same settings: a loss of comparison={chosen['comparison']}, "
        f"function={chosen['function']}, penalty={chosen['penalty']}{how}"
    )


# --- (b) --------------------------------------------------------------------------------------------------------------


def faster(evidence: Evidence) -> Claim:
    claim = Claim("faster", FASTER)
    everyone = [group[0] for group in evidence.groups.values()]
    groups = [(loss, group) for (_, loss), group in evidence.groups.items()]
    gps = [group for loss, group in groups if is_gp(loss, ("pair", "average"), "standard") and steps(group) == 1]
    wgans = [group for loss, group in groups if is_gp(loss, ("none",), "wasserstein") and steps(group) == 5]
    pairs = [(one, two) for one in gps for two in wgans if beside_optim(one[0]) == beside_optim(two[0])]
    for (one, two), test in zip(pairs, evidence.compare(pairs), strict=True):
        claim.findings.append(finding(evidence, title_of(one[0], everyone), one, two, test))
        claim.findings.append(in_a_fifth(evidence, one, two))
    if not pairs:
        claim.missing.append(
            "runs of both at one size: rgan-train -m loss=rsgan_gp,rasgan_gp seed=1,2,3,4,5 and "
            "rgan-train -m loss=wgangp optim=wgangp seed=1,2,3,4,5"
        )
    return claim


def is_gp(loss: str, comparisons: tuple[str, ...], function: str) -> bool:
    chosen, younger = json.loads(loss)
    return (
        not younger
        and chosen["penalty"] == "gp"
        and chosen["comparison"] in comparisons
        and chosen["function"] == function
    )


def steps(group: Group) -> int:
    n_d: int = group[0].config["optim"]["n_d"]
    return n_d


def beside_optim(run: Run) -> str:
    rest, *others = json.loads(setting_of(run))
    return json.dumps([{key: value for key, value in rest.items() if not key.startswith("optim")}, *others])


def in_a_fifth(evidence: Evidence, one: Group, two: Group) -> Finding:
    """Whether each run of the first reaches the second's final mean in a fifth of what that took, or none does.

    Runs that go on, or were stopped, are no part of it: they may still get there.
    """
    ended, finished = ([run for run in group if has_ended(run, evidence.score)] for group in (one, two))
    finished = [run for run in finished if run.final(evidence.score) is not None]
    if len(ended) < 2 or len(finished) < 2:
        text = f"{one[0].row} and the time that {two[0].row} took"
        return Finding(UNDECIDED, text, "two seeds of each at least" + by(one, two, 5))
    goal = fmean(value for run in finished if (value := run.final(evidence.score)) is not None)
    what, spent = spent_by([*ended, *finished], evidence.score)
    whole = median([spent(run, run.scores[evidence.score].final[0]) for run in finished])
    efforts = [effort_to(run, evidence.score, goal, evidence.higher) for run in ended]
    took = [spent(run, effort.iterations) for run, effort in zip(ended, efforts, strict=True) if effort is not None]
    text = f"{one[0].row} to the final mean of {two[0].row}, {number(goal, evidence.score)}"
    text += f": reached by {len(took)} of {counted(len(ended))}"
    if took and whole:
        text += f", at the median of these in {median(took) / whole:.0%} of its {what}"
    fast = sum(5 * each <= whole for each in took)
    if fast == len(ended):
        return Finding(SUPPORTED, text)
    if fast == 0:
        return Finding(CONTRADICTED, text)
    more = 2 * len(ended)
    return Finding(UNDECIDED, f"{text}, in a fifth by {fast}", f"{more} seeds of each" + by(one, two, more))


def has_ended(run: Run, score: str) -> bool:
    return run.status == "diverged" or run.final(score) is not None


def spent_by(runs: list[Run], score: str) -> tuple[str, Callable[[Run, int], float]]:
    """Seconds of training where they are known of all runs; else steps of the discriminator."""
    scored = [(run, at) for run in runs if score in run.scores for at, _ in run.scores[score].history]
    if all(at in run.seconds for run, at in scored):
        return "seconds of training", lambda run, at: run.seconds[at]
    return "discriminator steps (seconds are not known)", lambda run, at: effort_at(run, at).discriminator_steps


# --- (c) --------------------------------------------------------------------------------------------------------------


def stabler(evidence: Evidence) -> Claim:
    """By the range of a loss's scores over the four settings, one range a seed."""
    claim = Claim("stabler", STABLER)
    ranges = ranges_of(evidence)
    pairs = [
        (one, two)
        for (size, loss), one in ranges.items()
        if is_relativistic(loss) and (two := ranges.get((size, with_choice(loss, comparison="none")))) is not None
    ]
    tests = compare_table([{"one": one.values, "two": two.values} for one, two in pairs])
    for (one, two), found in zip(pairs, tests, strict=True):
        text = f"range of {one.text(evidence)} against {two.text(evidence)}"
        test = found[0] if found else None
        if test is None or test.p_holm is None:
            claim.findings.append(Finding(UNDECIDED, text, "at least two seeds of each under all four settings"))
            continue
        text += f"; difference {with_sign(test.difference, evidence.score)}, Holm-adjusted p = {test.p_holm:.2g}"
        if not test.significant or test.incomplete:
            claim.findings.append(Finding(UNDECIDED, text, "more seeds under all four settings"))
        else:
            claim.findings.append(Finding(SUPPORTED if test.difference < 0 else CONTRADICTED, text))
    if not pairs:
        example = "rgan-train -m sweep=table2 seed=1,2,3,4,5"
        claim.missing.append(f"losses with their counterparts under the settings of table 2: {example}")
    return claim


@dataclass(frozen=True)
class Ranges:
    """
    Attributes:
        values: (seed, max − min over the four settings); None: not all four have a score.
    """

    name: str
    values: list[tuple[int, float | None]]

    def text(self, evidence: Evidence) -> str:
        known = [value for _, value in self.values if value is not None]
        mean = number(fmean(known), evidence.score) if known else "unknown"
        return f"{self.name} {mean} ({counted(len(known))})"


def ranges_of(evidence: Evidence) -> dict[tuple[str, str], Ranges]:
    """(size of the experiment, loss) → its ranges."""
    scores: dict[tuple[str, str], dict[int, list[float | None]]] = {}
    names: dict[tuple[str, str], str] = {}
    for (_, loss), group in evidence.groups.items():
        for run in group:
            if run.cell is not None and run.cell[0] == "table2":
                size = json.dumps([run.iterations, run.config["arch"]["width"], run.images])
                names[size, loss] = run.row
                scores.setdefault((size, loss), {}).setdefault(run.seed, []).append(run.final(evidence.score))
    return {
        key: Ranges(names[key], [(seed, range_of(values)) for seed, values in of_seeds.items()])
        for key, of_seeds in scores.items()
    }


def range_of(scores: list[float | None]) -> float | None:
    known = [score for score in scores if score is not None]
    return max(known) - min(known) if len(known) == len(SETTINGS["table2"]) else None


# --- (d) --------------------------------------------------------------------------------------------------------------


def few_images(runs: list[Run]) -> Claim:
    claim = Claim("few images", FEW_IMAGES)
    cats = [run for run in runs if run.config["data"]["name"] == "cat256" and run.status in ("finished", "diverged")]
    fids = {run.folder: fid for run in cats for name, fid in run.scores.items() if is_fid(name)}
    for run in cats:
        relativistic = run.config["loss"]["comparison"] != "none"
        best = min((value for _, value in fids[run.folder].history), default=None) if run.folder in fids else None
        failed = run.status == "diverged" or (best is not None and best > FAILS)
        told = "diverged" if run.status == "diverged" else f"lowest FID {best:.1f}" if best is not None else "no FID"
        text = f"{run.row}, seed {run.seed}: {told}"
        if best is None and not failed:
            how = f": rgan-fid {run.folder} --all" if run.folder.is_dir() else ""
            claim.findings.append(Finding(UNDECIDED, text, f"its FID{how}"))
        else:
            claim.findings.append(Finding(SUPPORTED if failed != relativistic else CONTRADICTED, text))
    if len({run.config["loss"]["comparison"] == "none" for run in cats}) < 2:
        claim.missing.append("both kinds of losses on CAT 256: rgan-train -m sweep=table3_cat256")
    return claim
