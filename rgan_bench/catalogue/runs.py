"""Several runs: chosen, sorted, and as a table for pandas, notebooks and terminals."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rgan_bench.catalogue.choosing import chosen, in_order
from rgan_bench.catalogue.entry import FoundRun
from rgan_bench.catalogue.overview import notes, summary, swept
from rgan_bench.config.combinations import shown
from rgan_bench.errors import UserError

if TYPE_CHECKING:
    from pandas import DataFrame


class Runs(list[FoundRun]):
    """Runs, as `find` found them.

    Attributes:
        problems: folders that could not be searched, and why; a line each.
    """

    def __init__(self, runs: Iterable[FoundRun] = (), problems: Sequence[str] = ()) -> None:
        super().__init__(runs)
        self.problems = list(problems)

    def where(self, *filters: str) -> "Runs":
        """Those that have one of the values of each filter: `runs.where("loss=sgan,rasgan", "optim.lr=1e-4")`.

        Raises:
            UserError: no such key, or no run has such a value.
        """
        return Runs(chosen(self, filters), self.problems)

    def sorted_by(self, column: str | None = None, *, reverse: bool = False) -> "Runs":
        """
        Args:
            column: of the list, or a dotted key of the config; runs without a value come last. None: by what differs
                between the runs: loss, settings, seed.

        Raises:
            UserError: there is no such column.
        """
        return Runs(in_order(self, column, reverse=reverse), self.problems)

    def notes(self) -> list[str]:
        """What a reader of the list must know: scores that may not be compared, what could not be read."""
        return [*notes(self), *self.problems]

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
            raise UserError(
                "to_pandas: needs pandas, which is not installed; install it: pip install pandas"
            ) from error
        keys = swept(self)
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
            drawn = any(score.sd is not None for run in self for score in run.scores.values())
            columns += [*(("mean", "sd") if drawn else ()), "best", "best_iteration"]
        return DataFrame(rows, columns=[*columns, "protocol"])

    def __repr__(self) -> str:
        from rgan_bench.catalogue.listing import as_text

        return "\n".join([as_text(self), summary(self), *self.notes()])

    __str__ = __repr__

    def _repr_html_(self) -> str:
        from rgan_bench.catalogue.listing import as_html

        return as_html(self, [summary(self), *self.notes()])


def as_cell(value: Any) -> Any:
    """A list as text: pandas cannot group by lists."""
    return shown(value) if isinstance(value, list) else value
