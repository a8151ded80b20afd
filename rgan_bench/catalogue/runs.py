"""Several runs: chosen, sorted, and as a table for pandas, notebooks and terminals."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rgan_bench.catalogue.entry import FoundRun
from rgan_bench.config.combinations import shown
from rgan_bench.errors import UserError
from rgan_bench.report.cells import rank_note
from rgan_bench.report.protocols import score_names
from rgan_bench.report.sweeps import rank, swept_keys

if TYPE_CHECKING:
    from pandas import DataFrame


class Runs(list[FoundRun]):
    """Runs, as `find` found them.

    Attributes:
        problems: what could not be read, and why; a line each.
    """

    def __init__(self, runs: Iterable[FoundRun] = (), problems: Sequence[str] = ()) -> None:
        super().__init__(runs)
        self.problems = [*problems, *(run.problem for run in self if run.problem)]

    def where(self, *filters: str) -> "Runs":
        """Those that have one of the values of each filter: `runs.where("loss=sgan,rasgan", "optim.lr=1e-4")`.

        Raises:
            UserError: no such key, or no run has such a value.
        """
        from rgan_bench.catalogue.choosing import chosen

        return Runs(chosen(self, filters))

    def sorted_by(self, column: str, *, reverse: bool = False) -> "Runs":
        """By a column or a dotted key of the config; runs without a value come last.

        Raises:
            UserError: there is no such column.
        """
        from rgan_bench.catalogue.choosing import sort_key

        key = sort_key(self, column)
        having = sorted((run for run in self if key(run) is not None), key=lambda run: rank(key(run)), reverse=reverse)
        return Runs([*having, *(run for run in self if key(run) is None)])

    def in_order(self) -> "Runs":
        """By what differs between them: loss, settings, seed."""
        keys = self.swept()
        return Runs(
            sorted(
                self,
                key=lambda run: [rank(value) for value in (run.loss, *map(run.deciding.get, keys), run.seed, run.name)],
            )
        )

    def swept(self) -> list[str]:
        """The keys that decide the training and differ between the runs, the loss's name and the seed aside."""
        return [key for key in swept_keys([run.deciding for run in self if run.deciding]) if key != "loss"]

    def score_names(self) -> list[str]:
        """The main one first."""
        present = {name for run in self for name in run.scores}
        return [name for name in score_names(run.run for run in self if run.run) if name in present]

    def protocols(self, score: str) -> list[str]:
        """What differs between those under which runs have this score, "num_samples 300 or 5000"; empty: nothing."""
        found = [run.scores[score].protocol for run in self if score in run.scores]
        keys = dict.fromkeys(key for protocol in found for key in protocol if key != "fingerprint")
        values = {key: list(dict.fromkeys(shown(protocol.get(key)) for protocol in found)) for key in keys}
        return [f"{key} {' or '.join(several)}" for key, several in values.items() if len(several) > 1]

    def to_pandas(self, history: bool = False) -> "DataFrame":
        """
        Args:
            history: a row for each run, score and iteration at which it was taken, instead of one a run and score.

        Returns:
            run, loss, seed, the keys that differ between the runs, status, iteration, score, its value and protocol
            (equal fingerprint: comparable); without history mean and sd where a score was drawn several times, best and
            best_iteration. A run without a score has a row, in which these are missing.

        Raises:
            UserError: pandas is not installed.
        """
        try:
            from pandas import DataFrame
        except ImportError as error:
            raise UserError("to_pandas: needs pandas, which is not installed; install it: pip install pandas") from error
        keys = self.swept()
        rows: list[dict[str, Any]] = []
        for run in self:
            about = {"run": run.name, "loss": run.loss, "seed": run.seed}
            about |= {key: as_cell(run.deciding.get(key)) for key in keys} | {"status": run.status}
            for name, score in run.scores.items():
                told = about | {"score": name, "protocol": score.protocol.get("fingerprint")}
                if history:
                    rows += [told | {"iteration": at, "value": value} for at, value in score.history]
                else:
                    at, value = score.best
                    last = {"iteration": score.final[0], "value": score.final[1], "mean": score.mean, "sd": score.sd}
                    rows.append(told | last | {"best": value, "best_iteration": at})
            if not run.scores and not history:
                rows.append(about | {"iteration": run.iteration})
        columns = ["run", "loss", "seed", *keys, "status", "iteration", "score", "value"]
        if not history:
            columns += ["mean", "sd"] if any(score.sd is not None for run in self for score in run.scores.values()) else []
            columns += ["best", "best_iteration"]
        return DataFrame(rows, columns=[*columns, "protocol"])

    def summary(self) -> str:
        """ "6 runs: 4 finished, 1 interrupted, 1 killed"."""
        counts = Counter(run.status for run in self)
        told = ", ".join(f"{number} {status}" for status, number in counts.most_common())
        return f"{len(self)} run{'s' * (len(self) != 1)}" + f": {told}" * bool(counts)

    def notes(self) -> list[str]:
        """What a reader of the list must know: scores that may not be compared, what could not be read."""
        differ = {name: self.protocols(name) for name in self.score_names()}
        mixed = [
            f"{name}: under several protocols, which may not be compared ({'; '.join(parts)})"
            for name, parts in differ.items()
            if parts
        ]
        protocols = {name: run.scores[name].protocol for name in differ for run in self if name in run.scores}
        biased = [note for name, protocol in protocols.items() for note in rank_note(name, protocol)]
        return [*mixed, *biased, *self.problems]

    def __repr__(self) -> str:
        from rgan_bench.catalogue.listing import as_text

        return as_text(self)

    __str__ = __repr__

    def _repr_html_(self) -> str:
        from rgan_bench.catalogue.listing import as_html

        return as_html(self)


def as_cell(value: Any) -> Any:
    """A list as text: pandas cannot group by lists."""
    return shown(value) if isinstance(value, list) else value
