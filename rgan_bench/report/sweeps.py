"""A table of any sweep: its rows and columns are the keys in which the runs differ."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from rgan_bench.config.combinations import shown
from rgan_bench.config.identity import NEUTRAL
from rgan_bench.report.cells import Column, Table, finish, make_cell, rank_note
from rgan_bench.report.paper import paper
from rgan_bench.report.protocols import average_draws, choose_protocol
from rgan_bench.report.runs import Run


def sweep_table(runs: list[Run], score: str) -> Table:
    """Rows and columns are the keys in which runs differ, in the order of their values: see `Layout`."""
    chosen = average_draws(choose_protocol(runs, score, same_arch=False))
    if not chosen.runs:
        return Table("sweep", "no scores", "", [], [], False, {}, chosen.notes)
    told = {run.folder: flat(run) for run in chosen.runs}
    keys = lay_out(list(told.values()))
    rows: dict[str, dict[str, Any]] = {}
    places: dict[str, dict[str, Any]] = {}
    found: dict[tuple[str, str], list[Run]] = {}
    for run in chosen.runs:
        mine = told[run.folder]
        row, place = shown(mine.get(keys.down)), column_title(mine, keys.across)
        rows[row], places[place] = mine, {key: mine.get(key) for key in keys.across}
        found.setdefault((place, row), []).append(run)
    in_order = sorted(rows, key=lambda row: rank(rows[row].get(keys.down)))
    base = base_of(list(places.values()))
    columns = [
        Column(
            column_title(settings, keys.across, base) or ("base" if base else score),
            {row: make_cell(found.get((place, row), []), lambda run: run.final(score)) for row in in_order},
            settings,
        )
        for place, settings in sorted(places.items(), key=lambda each: [rank(value) for value in each[1].values()])
    ]
    notes = rank_note(score, chosen.protocol) + finish(columns, chosen.protocol) + chosen.notes
    if base:
        notes.insert(0, f"what a column does not name is as in the base: {column_title(base, keys.across)}")
    by = " and ".join([keys.down, *keys.across])
    with_own = f", each with its {' and '.join(keys.own)}" if keys.own else ""
    title = f"{chosen.label} at {chosen.runs[0].iterations:,} iterations, by {by}{with_own}"
    return Table(
        "sweep", title, score, in_order, columns, False, chosen.protocol, notes, keys.down, own=keys.own_of(rows)
    )


@dataclass(frozen=True)
class Layout:
    """
    Attributes:
        down: the key whose values are the rows: the loss, or else the first in which runs differ.
        across: the keys whose values are the columns.
        own: keys of which each row has one value, as where every loss was trained at its own learning rate. They make
            no columns: rows could not be compared at all.
    """

    down: str
    across: list[str]
    own: list[str]

    def own_of(self, rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Row → the settings of any of its runs, to row → its own."""
        return {row: {key: mine.get(key) for key in self.own} for row, mine in rows.items()} if self.own else {}


def lay_out(settings: list[dict[str, Any]], without: Collection[str] = ()) -> Layout:
    """
    Args:
        settings: of each run.
        without: keys that are neither rows nor columns.
    """
    keys = [key for key in swept_keys(settings) if key not in without]
    down = "loss" if "loss" in keys or not keys else keys[0]
    rest = [key for key in keys if key != down]
    rows: dict[str, list[dict[str, Any]]] = {}
    for mine in settings:
        rows.setdefault(shown(mine.get(down)), []).append(mine)
    several = {key for key in rest for row in rows.values() if len({shown(mine.get(key)) for mine in row}) > 1}
    return Layout(down, [key for key in rest if key in several], [key for key in rest if key not in several])


def base_of(settings: list[dict[str, Any]]) -> dict[str, Any]:
    """From what all settings differ in one key at most, as in an ablation; {}: there is none, or several."""
    first, *rest = settings or [{}]
    maybe = [first, *(first | {key: mine[key]} for key in first for mine in rest if mine[key] != first[key])]
    found = {
        column_title(each, list(each)): each
        for each in maybe
        if all(sum(each[key] != mine[key] for key in each) <= 1 for mine in rest)
    }
    return next(iter(found.values())) if len(first) > 1 and len(found) == 1 else {}


def column_title(settings: dict[str, Any], keys: list[str], base: dict[str, Any] | None = None) -> str:
    """ "optim.lr=0.001, optim.n_d=1", without what is as in the base."""
    base = base or {}
    told = [(key, shown(settings.get(key))) for key in keys]
    return ", ".join(f"{key}={value}" for key, value in told if key not in base or value != shown(base[key]))


def flat(run: Run) -> dict[str, Any]:
    """Dotted keys that decide the training, the neutral ones too; a loss is its name and its choices together."""
    found: dict[str, Any] = {"loss": run.loss}
    for group, content in run.identity.items():
        if isinstance(content, dict):
            found |= {f"{group}.{key}": value for key, value in content.items()}
        else:
            found["train.batch_size" if group == "batch_size" else group] = content
    return found | {key: neutral for key, (neutral, _) in NEUTRAL.items() if key not in found}


def swept_keys(settings: list[dict[str, Any]]) -> list[str]:
    """The keys in which settings differ. A loss's name stands for its choices, unless one name has several."""
    keys = dict.fromkeys(key for mine in settings for key in mine)
    seen: dict[tuple[str, str], set[str]] = {}
    for mine in settings:
        for key in keys:
            name = mine["loss"] if key.startswith("loss.") else ""
            seen.setdefault((key, name), set()).add(str(mine.get(key)))
    different = {key for (key, _), values in seen.items() if len(values) > 1}
    weights = {(str(mine.get("loss.penalty")), str(mine.get("loss.penalty_weight"))) for mine in settings}
    if len(weights) == len({penalty for penalty, _ in weights}) > 1:  # a penalty's name stands for its weight
        different.discard("loss.penalty_weight")
    return [key for key in keys if key in different]


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def rank(value: Any) -> tuple[Any, ...]:
    """What values are sorted by: numbers, true and false, lists, texts; losses as in the paper, then by name."""
    if value is None:
        return (0,)
    if is_number(value):
        return (1, value)
    if isinstance(value, bool):
        return (2, value)
    if isinstance(value, list):
        return (3, [rank(each) for each in value])
    losses = list(paper()["table1"]["cells"])
    return (4, losses.index(value) if value in losses else len(losses), value)
