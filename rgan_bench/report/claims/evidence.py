"""The runs at hand, by what they are, and two groups of them compared."""

import json
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from rgan_bench.config.combinations import shown
from rgan_bench.report.claims.claim import CONTRADICTED, SUPPORTED, UNDECIDED, Finding
from rgan_bench.report.formats import number, with_sign
from rgan_bench.report.paper import IMAGES, TITLES, may_stand_beside_paper
from rgan_bench.report.protocols import average_draws, choose_protocol
from rgan_bench.report.runs import Run
from rgan_bench.report.statistics import PairTest, compare_table
from rgan_bench.report.sweeps import flat
from rgan_bench.scoring.protocol import HIGHER_IS_BETTER

MOST_SEEDS = 1000  # beyond so many nobody asks further

Group = list[Run]  # runs that differ in their seeds alone


@dataclass(frozen=True)
class Evidence:
    """Runs that were scored under one protocol, by what they are.

    Attributes:
        groups: (setting, loss) → runs, both as JSON of their choices.
        left_out: how many runs have no score under this protocol, or at this number of iterations.
    """

    score: str
    higher: bool
    groups: dict[tuple[str, str], Group]
    left_out: int = 0

    @classmethod
    def of(cls, runs: list[Run], score: str | None = None) -> "Evidence":
        """
        Args:
            score: its name; None: the main one of those that the runs have.
        """
        chosen = average_draws(choose_protocol(runs, score, same_arch=False))  # as tables have them
        groups: dict[tuple[str, str], Group] = {}
        for run in chosen.runs:
            groups.setdefault((setting_of(run), loss_of(run)), []).append(run)
        higher = chosen.protocol.get("metric") in HIGHER_IS_BETTER
        return cls(chosen.score, higher, groups, len(chosen.others))

    def values(self, group: Group) -> list[tuple[int, float | None]]:
        return [(run.seed, run.final(self.score)) for run in group]

    def mean(self, group: Group) -> str:
        """ "31.98 (3 seeds)", and what became of the others."""
        values = [value for _, value in self.values(group) if value is not None]
        text = f"{number(fmean(values), self.score)} ({counted(len(values))})" if values else "no score"
        lost = len(group) - len(values)
        return text + (f", {lost} of {counted(len(group))} without one" if lost else "")

    def compare(self, pairs: list[tuple[Group, Group]]) -> list[PairTest | None]:
        """One test a pair, Holm over all of them; None: too few seeds."""
        found = compare_table([{"one": self.values(one), "two": self.values(two)} for one, two in pairs])
        return [tests[0] if tests else None for tests in found]


def setting_of(run: Run) -> str:
    """Everything that decides the training but the loss and the seed, and for how long."""
    rest = {key: value for key, value in run.identity.items() if key != "loss" and not key.startswith("loss.")}
    arch = {"arch": run.config["arch"]["name"]}
    return json.dumps([rest, arch, run.images, run.iterations], sort_keys=True)


def loss_of(run: Run) -> str:
    younger = {key: value for key, value in run.identity.items() if key.startswith("loss.")}
    return json.dumps([run.identity["loss"], younger], sort_keys=True)


def with_choice(loss: str, **choices: str) -> str:
    chosen, younger = json.loads(loss)
    return json.dumps([chosen | choices, younger], sort_keys=True)


def title_of(run: Run, others: Iterable[Run]) -> str:
    """The setting's name in the paper, if it is one; else the keys in which it differs from other settings."""
    mine = {key: value for key, value in flat(run).items() if not key.startswith("loss")}
    mine["train.iterations"] = run.iterations
    different = {
        key
        for other in others
        if run.cell is None or other.cell == run.cell  # whose name tells the rest
        for key, value in [*flat(other).items(), ("train.iterations", other.iterations)]
        if not key.startswith("loss") and mine.get(key) != value
    }
    keys = ", ".join(f"{key}={shown(mine.get(key))}" for key in mine if key in different)
    if run.cell is None:
        return keys or "the one setting"
    name = f"{run.cell[0]}, {TITLES.get(run.cell[1], run.cell[1])}"
    at_size = any(
        may_stand_beside_paper(run, score, run.cell[1] if run.cell[1] in IMAGES else "") for score in run.scores
    )
    if at_size:
        return name
    return f"in the manner of {name}, at another size" + (f" ({keys})" if keys else "")


def finding(evidence: Evidence, title: str, one: Group, two: Group, test: PairTest | None) -> Finding:
    """Whether the first is better."""
    names = f"{one[0].row} {evidence.mean(one)} against {two[0].row} {evidence.mean(two)}"
    text = f"{title}: {names}"
    if test is None or test.p_holm is None or test.ci is None:
        return Finding(UNDECIDED, text, "two seeds of each at least, whose scores differ" + by(one, two, 5))
    low, high = test.ci
    text += (
        f"; difference {with_sign(test.difference, evidence.score)} "
        f"[{with_sign(low, evidence.score)}, {with_sign(high, evidence.score)}], Holm-adjusted p = {test.p_holm:.2g}"
    )
    if test.incomplete:
        text += "; only runs with a score are compared"
    if test.significant:
        ahead = test.difference > 0 if evidence.higher else test.difference < 0
        # Whoever lost runs is not ahead by those that are left.
        lost = [value is None for _, value in evidence.values(one if ahead else two)]
        if not any(lost):
            return Finding(SUPPORTED if ahead else CONTRADICTED, text)
    return Finding(UNDECIDED, text, seeds_needed(one, two, test))


def seeds_needed(one: Group, two: Group, test: PairTest) -> str:
    """For the difference that was seen to be found in four of five repetitions: its square goes with the seeds."""
    if not test.mdd or not test.difference:
        return f"{max(5, len(one), len(two))} seeds of each" + by(one, two, 5)
    wanted = round(min(test.n) * (test.mdd / abs(test.difference)) ** 2 + 0.5)
    if wanted > MOST_SEEDS:
        return f"more than {MOST_SEEDS:,} seeds, if the difference is as small as it seems"
    return f"about {wanted} seeds of each, if the difference is as it seems" + by(one, two, wanted)


def by(one: Group, two: Group, seeds: int) -> str:
    """The command that makes more seeds of both; empty where the runs lie elsewhere, as those of a results.json do."""
    if not all(run.folder.is_dir() for run in (one[0], two[0])):
        return ""
    seeding = f"seed=range(1,{max(seeds, len(one), len(two)) + 1})"
    both = (f"loss={one[0].loss},{two[0].loss}", seeding)
    if command_of(one[0], *both) == command_of(two[0], *both):
        return ": " + command_of(one[0], "-m", *both)
    return ": " + "; ".join(command_of(group[0], "-m", seeding) for group in (one, two))


def command_of(run: Run, *changes: str) -> str:
    """The run's own command with other settings; as far as it is known."""
    keys = {change.split("=")[0] for change in changes}
    told = run.command or ""
    try:
        words = shlex.split(told)
    except ValueError:  # it comes from a file, and may be no command at all
        words = []
    name, *words = words or ["rgan-train", f"loss={run.loss}"]
    flags = [change for change in changes if change.startswith("-")]
    kept = [word for word in words if word.split("=")[0] not in keys]
    return shlex.join([name, *flags, *kept, *(change for change in changes if change not in flags)])


def counted(seeds: int) -> str:
    return f"{seeds} seed{'s' * (seeds != 1)}"
