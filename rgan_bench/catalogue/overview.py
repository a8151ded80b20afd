"""What is said of several runs together: in what they differ, how they stand, what must not be compared."""

from collections import Counter
from collections.abc import Sequence

from rgan_bench.catalogue.entry import FoundRun
from rgan_bench.config.combinations import shown
from rgan_bench.report import protocols
from rgan_bench.report.cells import rank_note
from rgan_bench.report.sweeps import swept_keys


def swept(runs: Sequence[FoundRun]) -> list[str]:
    """The keys that decide the training and differ between the runs, the loss's name and the seed aside."""
    return [key for key in swept_keys([run.deciding for run in runs if run.deciding]) if key != "loss"]


def score_names(runs: Sequence[FoundRun]) -> list[str]:
    """The main one first."""
    present = {name for run in runs for name in run.scores}
    return [name for name in protocols.score_names(run.run for run in runs if run.run) if name in present]


def differing(runs: Sequence[FoundRun], score: str) -> list[str]:
    """In what the protocols differ under which runs have this score, "num_samples 300 or 5000"; empty: in nothing."""
    found = [run.scores[score].protocol for run in runs if score in run.scores]
    keys = dict.fromkeys(key for protocol in found for key in protocol if key != "fingerprint")
    values = {key: list(dict.fromkeys(shown(protocol.get(key)) for protocol in found)) for key in keys}
    return [f"{key} {' or '.join(several)}" for key, several in values.items() if len(several) > 1]


def summary(runs: Sequence[FoundRun]) -> str:
    """ "6 runs: 4 finished, 1 interrupted, 1 killed"."""
    counts = Counter(run.status for run in runs)
    told = ", ".join(f"{number} {status}" for status, number in counts.most_common())
    return f"{len(runs)} run{'s' * (len(runs) != 1)}" + f": {told}" * bool(counts)


def notes(runs: Sequence[FoundRun]) -> list[str]:
    """What a reader of a list must know: scores that may not be compared, or are biased; what could not be read."""
    found = []
    for name in score_names(runs):
        parts = differing(runs, name)
        if parts:
            found.append(f"{name}: under several protocols, which may not be compared ({'; '.join(parts)})")
        biased = (note for run in runs if name in run.scores for note in rank_note(name, run.scores[name].protocol))
        found += list(biased)[:1]
    return [*found, *(run.problem for run in runs if run.problem)]
