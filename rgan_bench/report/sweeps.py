"""A table of any sweep: its rows and columns are the keys in which the runs differ."""

from typing import Any

from rgan_bench.report.cells import Column, Table, finish, make_cell
from rgan_bench.report.protocols import choose_protocol
from rgan_bench.report.runs import Run


def sweep_table(runs: list[Run]) -> Table:
    """Rows and columns are the keys in which runs differ: the loss, or else the first key, down; the rest across."""
    score, kept, protocol, notes = choose_protocol(runs, same_arch=False)
    settings = {run.folder: flat(run) for run in kept}
    keys = swept_keys(kept)
    down = "loss" if "loss" in keys or not keys else keys[0]
    across = [key for key in keys if key != down]
    found: dict[str, dict[str, list[Run]]] = {}
    for run in kept:
        mine = settings[run.folder]
        label = ", ".join(f"{key}={mine[key]}" for key in across) or score
        found.setdefault(label, {}).setdefault(str(mine[down]), []).append(run)
    rows = list(dict.fromkeys(str(settings[run.folder][down]) for run in kept))
    columns = [
        finish(Column(label, {row: make_cell(mine.get(row, []), lambda run: run.final(score), None) for row in rows}))
        for label, mine in found.items()
    ]
    title = f"{score} at {kept[0].iterations:,} iterations, by {' and '.join(keys) or 'loss'}" if kept else "no scores"
    return Table("sweep", title, score, rows, columns, False, protocol, notes)


def flat(run: Run) -> dict[str, Any]:
    """Dotted keys that decide the training; a loss is its name and its choices together."""
    config = run.config
    parts = {f"{g}.{k}": v for g in ("arch", "data", "optim") for k, v in config[g].items()}
    parts |= {f"loss.{k}": v for k, v in config["loss"].items() if k != "name"}
    return {"loss": run.loss, **parts, "train.batch_size": config["train"]["batch_size"]}


def swept_keys(runs: list[Run]) -> list[str]:
    seen: dict[str, set[str]] = {}
    for run in runs:
        for key, value in flat(run).items():
            seen.setdefault(key, set()).add(str(value))
    different = [key for key, values in seen.items() if len(values) > 1 and not key.endswith(".name")]
    if "loss" in different:  # its name stands for its choices, unless one name has several
        by_name = {(run.loss, str({k: v for k, v in flat(run).items() if k.startswith("loss.")})) for run in runs}
        if len(by_name) == len({run.loss for run in runs}):
            different = [key for key in different if not key.startswith("loss.")]
    return different
