"""Which runs are meant: filters as rgan-train's command line has overrides, and what runs are sorted by."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from rgan_bench.catalogue.columns import columns_of
from rgan_bench.catalogue.entry import FoundRun
from rgan_bench.catalogue.overview import swept
from rgan_bench.config.combinations import shown
from rgan_bench.config.validate import keys_below, known_keys, not_a_value, unknown_key
from rgan_bench.errors import UserError, one_line
from rgan_bench.report.parts import printable
from rgan_bench.report.sweeps import rank

MOST_VALUES = 12  # in a message


def is_filter(text: str) -> bool:
    """KEY=VALUE."""
    return re.match(r"[A-Za-z_][\w.-]*=", text) is not None


def chosen(runs: Sequence[FoundRun], filters: Sequence[str]) -> list[FoundRun]:
    """Those that have one of the values of each filter.

    Raises:
        UserError: no such key, no run has such a value, or none has all.
    """
    kept = list(runs)
    for text in filters:
        key, values = parsed(text)
        value_of = getter(runs, key, values)
        there = [value_of(run) for run in runs]
        for value in values:
            if not any(equal(each, value) for each in there):
                raise UserError(f"{key}={printable(shown(value))}: no run has it; {there_is(there)}")
        kept = [run for run in kept if any(equal(value_of(run), value) for value in values)]
    if not kept and runs:
        raise UserError(f"{printable(' '.join(filters))}: each of them is there, but no run has them all")
    return kept


def parsed(text: str) -> tuple[str, list[Any]]:
    """Key and values, as Hydra reads them: `seed=1,2`, `optim.betas=[0.5,0.9]`."""
    try:
        override = OverridesParser.create().parse_override(text)
        values = list(override.sweep_iterator()) if override.is_sweep_override() else [override.value()]
    except HydraException as error:
        reason = one_line(str(error).splitlines()[0])
        raise UserError(f"{printable(text)}: not a filter ({printable(reason)}); write KEY=VALUE[,VALUE]") from error
    return override.key_or_group, [str(value) if type(value).__name__ == "QuotedString" else value for value in values]


def getter(runs: Sequence[FoundRun], key: str, values: Sequence[Any] = ()) -> Callable[[FoundRun], Any]:
    """What a run has at a column's name or a dotted key of the config; None: nothing.

    Raises:
        UserError: there is no such key.
    """
    columns = {column.name: column.value for column in columns_of(runs)}
    if key in columns:
        return columns[key]
    if any(key in run.settings for run in runs) or (key in known_keys() and not keys_below(key)):
        return lambda run: run.settings.get(key)
    if keys_below(key):
        raise UserError(not_a_value(key, ",".join(map(shown, values))))
    raise UserError(f"{printable(unknown_key(key))}; or a column: {', '.join(columns)}")


def in_order(runs: Sequence[FoundRun], column: str | None, *, reverse: bool) -> list[FoundRun]:
    """By a column or key, those without a value last; None: by loss, what was swept, and seed.

    Raises:
        UserError: there is no such column.
    """
    if column is None:
        keys = swept(runs)

        def place(run: FoundRun) -> list[Any]:
            return [*map(rank, (run.loss, *map(run.deciding.get, keys), run.seed)), str(run.path)]

        return sorted(runs, key=place, reverse=reverse)
    try:
        key = getter(runs, column)
    except UserError as error:
        raise UserError(f"--sort {error}") from error
    having = [run for run in runs if key(run) is not None]
    return [*sorted(having, key=lambda run: rank(key(run)), reverse=reverse), *(r for r in runs if key(r) is None)]


def equal(there: Any, wanted: Any) -> bool:
    """0.0001 is 1e-4, and true no 1; what Hydra took for a number may be a name: `run=57502868`."""
    if isinstance(there, list) and isinstance(wanted, list):
        return len(there) == len(wanted) and all(map(equal, there, wanted))
    if isinstance(there, bool) or isinstance(wanted, bool):
        return there is wanted
    return bool(there == wanted) or (isinstance(there, str) and there == shown(wanted))


def there_is(values: Iterable[Any]) -> str:
    """ "there is rasgan (2), sgan (2)"."""
    counts = Counter(printable(shown(value)) for value in values if value is not None)
    told = [f"{value} ({number})" for value, number in sorted(counts.items())]
    more = f" and {len(told) - MOST_VALUES} more" if len(told) > MOST_VALUES else ""
    return f"there is {', '.join(told[:MOST_VALUES])}{more}" if told else "none has any"
