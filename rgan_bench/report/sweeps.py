"""A table of any sweep: its rows and columns are the keys in which the runs differ."""

from typing import Any

from rgan_bench.config.combinations import shown
from rgan_bench.config.identity import NEUTRAL
from rgan_bench.report.cells import Column, Table, finish, make_cell, rank_note
from rgan_bench.report.paper import paper
from rgan_bench.report.protocols import average_draws, choose_protocol
from rgan_bench.report.runs import Run


def sweep_table(runs: list[Run], score: str) -> Table:
    """Rows and columns are the keys in which runs differ: the loss, or else the first key, down; the rest across.

    Both stand in the order of their values.
    """
    chosen = average_draws(choose_protocol(runs, score, same_arch=False))
    if not chosen.runs:
        return Table("sweep", "no scores", "", [], [], False, {}, chosen.notes)
    told = {run.folder: flat(run) for run in chosen.runs}
    keys = swept_keys(list(told.values()))
    down = "loss" if "loss" in keys or not keys else keys[0]
    across = [key for key in keys if key != down]
    rows: dict[str, Any] = {}
    titles: dict[str, dict[str, Any]] = {}
    found: dict[tuple[str, str], list[Run]] = {}
    for run in chosen.runs:
        mine = told[run.folder]
        row = shown(mine.get(down))
        title = ", ".join(f"{key}={shown(mine.get(key))}" for key in across) or score
        rows[row], titles[title] = rank(mine.get(down)), {key: mine.get(key) for key in across}
        found.setdefault((title, row), []).append(run)
    in_order = sorted(rows, key=rows.__getitem__)
    columns = [
        Column(
            title,
            {row: make_cell(found.get((title, row), []), lambda run: run.final(score)) for row in in_order},
            settings,
        )
        for title, settings in sorted(titles.items(), key=lambda each: [rank(value) for value in each[1].values()])
    ]
    title = f"{chosen.label} at {chosen.runs[0].iterations:,} iterations, by {' and '.join(keys) or 'loss'}"
    notes = rank_note(score, chosen.protocol) + finish(columns, chosen.protocol) + chosen.notes
    return Table("sweep", title, score, in_order, columns, False, chosen.protocol, notes, down)


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


def rank(value: Any) -> tuple[Any, ...]:
    """What values are sorted by: numbers, true and false, lists, texts; losses as in the paper, then by name."""
    if value is None:
        return (0,)
    if isinstance(value, bool):
        return (2, value)
    if isinstance(value, (int, float)):
        return (1, value)
    if isinstance(value, list):
        return (3, [rank(each) for each in value])
    losses = list(paper()["table1"]["cells"])
    return (4, losses.index(value) if value in losses else len(losses), value)
