"""Tables as data: which runs belong together, what their cells are. The formats are written elsewhere."""

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from statistics import fmean, stdev
from typing import Any

from omegaconf import OmegaConf

from rgan_bench.report.runs import Run

# How the digest of torch-fidelity's Inception weights begins, as the name of their file says.
INCEPTION_WEIGHTS = "6726825d"
STATISTICS = ("min", "max", "mean", "sd")
TITLES = {
    "stable": "lr 2e-4, betas (.5, .999), n_d 1",
    "wgangp": "lr 1e-4, betas (.5, .9), n_d 5",
    "lr1e-3": "lr 1e-3",
    "betas0.9": "betas (.9, .9)",
    "no_bn": "no batch norm",
    "tanh": "tanh everywhere",
}
IMAGES = {"cat64": 9304, "cat128": 6645, "cat256": 2011}
FAKES = {"cat64": 10_000, "cat128": 10_000, "cat256": 2_000}


@dataclass
class Cell:
    """One loss under one setting.

    Attributes:
        values: of the finished runs, one a seed.
        paper: what the paper printed; None: nothing, or nothing that may be compared.
        states: of the runs without a value: "diverged at 1,200".
        best: whether the mean is the lowest of the column.
    """

    runs: list[Run] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    paper: float | None = None
    states: list[str] = field(default_factory=list)
    best: bool = False

    @property
    def mean(self) -> float | None:
        return fmean(self.values) if self.values else None

    @property
    def sd(self) -> float | None:
        return stdev(self.values) if len(self.values) > 1 else None

    @property
    def difference(self) -> float | None:
        return None if self.mean is None or self.paper is None else self.mean - self.paper


@dataclass
class Column:
    title: str
    cells: dict[str, Cell]
    pairs: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Table:
    """Rows × columns.

    Attributes:
        score: the score's name.
        beside_paper: whether the paper's numbers stand beside ours.
        notes: for people: provenance, and what was left out and why.
    """

    name: str
    title: str
    score: str
    rows: list[str]
    columns: list[Column]
    beside_paper: bool
    protocol: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    @property
    def runs(self) -> list[Run]:
        found = {run.folder: run for column in self.columns for cell in column.cells.values() for run in cell.runs}
        return list(found.values())


@lru_cache
def paper() -> dict[str, Any]:
    return OmegaConf.to_container(OmegaConf.create(files("rgan_bench").joinpath("paper_tables.yaml").read_text()))


# --- which runs belong together ---------------------------------------------------------------------------------------


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
    notes = [left_out(run, why_other(keys[run.folder], chosen, score)) for run in runs if run not in kept]
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


def may_stand_beside_paper(run: Run, score: str, setting: str) -> bool:
    """Whether the run is what the paper did, as far as a config can tell."""
    protocol, config = run.result["protocol"][score], run.config
    data, images, fakes = "cifar10", 50_000, 50_000
    width = 64
    if setting in IMAGES:
        data, images, fakes, width = setting, IMAGES[setting], FAKES[setting], 32 if setting == "cat256" else 64
    return (
        score == "fid"
        and protocol["weights"].startswith(INCEPTION_WEIGHTS)
        and (protocol["num_samples"], protocol["num_real"]) == (fakes, images)
        and (protocol["batch_norm"], protocol["batch_size"]) == ("batch", 100)
        and (config["data"]["name"], config["arch"]["width"], run.iterations) == (data, width, 100_000)
    )


# --- cells ------------------------------------------------------------------------------------------------------------


def make_cell(runs: list[Run], value: Callable[[Run], float | None], printed: float | None) -> Cell:
    cell = Cell(runs=sorted(runs, key=lambda run: run.seed), paper=printed)
    for run in cell.runs:
        found = value(run)
        if found is not None:
            cell.values.append(found)
        else:
            cell.states.append(state_of(run))
    return cell


def state_of(run: Run) -> str:
    # With train.on_divergence=continue a run goes on after it diverged.
    since = run.result.get("diverged") if run.status == "diverged" else None
    at = f"at {(since or run.result)['iteration']:,}"
    if run.status == "finished":
        return f"incomplete {at}"
    return f"{run.status} {at}" if run.status in ("diverged", "failed") else f"unfinished {at}"


def mark_best(column: Column) -> None:
    means = {row: cell.mean for row, cell in column.cells.items() if cell.mean is not None}
    if len(means) > 1:
        column.cells[min(means, key=means.__getitem__)].best = True


def compare_pairs(column: Column) -> list[dict[str, Any]]:
    """For every pair of rows with two seeds or more, Welch's t-test; p by Holm's correction over the column."""
    from scipy.stats import ttest_ind

    rows = [row for row, cell in column.cells.items() if len(cell.values) > 1]
    pairs = []
    for one, two in itertools.combinations(rows, 2):
        a, b = column.cells[one], column.cells[two]
        difference = a.mean - b.mean
        if a.sd == b.sd == 0:  # no spread at all: the test divides by it
            found = {"t": None, "p": float(difference == 0)}
        else:
            test = ttest_ind(a.values, b.values, equal_var=False)
            found = {"t": float(test.statistic), "p": float(test.pvalue)}
        pairs.append({"pair": [one, two], "difference": difference, **found})
    for pair, adjusted in zip(pairs, holm([pair["p"] for pair in pairs]), strict=True):
        pair |= {"p_holm": adjusted, "stands_out": adjusted < 0.05}
    return pairs


def holm(p_values: list[float]) -> list[float]:
    """Holm's step-down correction (1979)."""
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def finish(column: Column) -> Column:
    mark_best(column)
    column.pairs = compare_pairs(column)
    return column


# --- tables -----------------------------------------------------------------------------------------------------------


def paper_table(runs: list[Run], name: str) -> list[Table]:
    """Table 1 or 2: one; table 3: one a size. Settings without a run show as missing."""
    settings = {"table1": ("stable", "wgangp"), "table2": ("lr1e-3", "betas0.9", "no_bn", "tanh")}.get(name)
    mine = [run for run in runs if (run.cell() or ("",))[0] == name]
    if settings is None:
        sizes = [size for size in IMAGES if any(run.cell()[1] == size for run in mine)]
        return [table3(size, [run for run in mine if run.cell()[1] == size]) for size in sizes]
    score, kept, protocol, notes = choose_protocol(mine)
    printed = paper()[name]["cells"]
    beside = bool(kept) and all(may_stand_beside_paper(run, score, "") for run in kept)
    rows = [*printed, *sorted({run.row for run in kept} - set(printed))]

    def cell(row: str, setting: str) -> Cell:
        chosen = [run for run in kept if run.cell()[1] == setting and run.row == row]
        return make_cell(chosen, lambda run: run.final(score), printed.get(row, {}).get(setting) if beside else None)

    columns = [finish(Column(TITLES[setting], {row: cell(row, setting) for row in rows})) for setting in settings]
    title = f"{score} at {kept[0].iterations:,} iterations" if kept else paper()[name]["caption"]
    if name == "table2":
        notes.insert(0, "outside the lr column the learning rate is 1e-4, as in the author's script; it is not printed")
    return [Table(name, title, score, rows, columns, beside, protocol, provenance(beside) + notes)]


def table3(size: str, runs: list[Run]) -> Table:
    score, kept, protocol, notes = choose_protocol(runs)
    printed = paper()["table3"][size]["cells"]
    beside = bool(kept) and all(may_stand_beside_paper(run, score, size) for run in kept)
    rows = [*printed, *sorted({run.row for run in kept} - set(printed))]
    columns = []
    for index, statistic in enumerate(STATISTICS):

        def cell(row: str, index: int = index, statistic: str = statistic) -> Cell:
            value = printed[row][index] if beside and row in printed else None
            return make_cell([r for r in kept if r.row == row], lambda run: run.statistic(score, statistic), value)

        columns.append(finish(Column(statistic, {row: cell(row) for row in rows})))
    if protocol.get("rank_deficient"):
        notes.insert(0, f"{score} is rank-deficient (fewer images than features); result.json has the kernel distance")
    title = f"{score} over 20k, 30k, ..., 100k iterations, {size}"
    return Table(f"table3_{size}", title, score, rows, columns, beside, protocol, provenance(beside) + notes)


def provenance(beside: bool) -> list[str]:
    if not beside:
        return ["the paper's numbers are not shown: these runs are not what the paper ran and scored"]
    confirmed = "; ".join(
        f"{table} {part}: {', '.join(names)}"
        for table, parts in paper()["confirmed"].items()
        for part, names in parts.items()
    )
    return [
        f"paper: {paper()['source']}, one run (seed {paper()['seed']}) a cell, transcribed by hand; "
        f"confirmed against a second public source: {confirmed}"
    ]


def sweep_table(runs: list[Run]) -> list[Table]:
    """Rows and columns are the keys in which runs differ: the loss, or else the first key, down; the rest across."""
    score, kept, protocol, notes = choose_protocol(runs, same_arch=False)
    keys = swept_keys(kept)
    down = "loss" if "loss" in keys or not keys else keys[0]
    across = [key for key in keys if key != down]

    def label(run: Run) -> str:
        return ", ".join(f"{key}={flat(run)[key]}" for key in across) or score

    rows = list(dict.fromkeys(str(flat(run)[down]) for run in kept))
    columns = []
    for title in dict.fromkeys(map(label, kept)):
        chosen = [run for run in kept if label(run) == title]
        cells = {
            row: make_cell([r for r in chosen if str(flat(r)[down]) == row], lambda run: run.final(score), None)
            for row in rows
        }
        columns.append(finish(Column(title, cells)))
    title = f"{score} at {kept[0].iterations:,} iterations, by {' and '.join(keys) or 'loss'}" if kept else "no scores"
    return [Table("sweep", title, score, rows, columns, False, protocol, notes)]


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


def make_tables(runs: list[Run], kind: str) -> list[Table]:
    """
    Args:
        kind: table1, table2, table3, sweep, or auto: those tables of the paper that any run belongs to, else sweep.
    """
    tables = sweep_table(runs) if kind == "sweep" else paper_tables(runs, kind)
    for table in tables:
        table.notes += [f"{run.folder.name}: {trouble}" for run in table.runs for trouble in run.troubles()]
    return tables


def paper_tables(runs: list[Run], kind: str) -> list[Table]:
    """The tables of the paper that any run belongs to; with kind auto, where there is none, all runs as a sweep."""
    names = ["table1", "table2", "table3"] if kind == "auto" else [kind]
    present = [name for name in names if any((run.cell() or ("",))[0] == name for run in runs)]
    tables = [table for name in present for table in paper_table(runs, name)]
    if not tables:
        return sweep_table(runs) if kind == "auto" else []
    strangers = [run for run in runs if (run.cell() or ("",))[0] not in present]
    tables[-1].notes += [left_out(run, "its settings are in no cell of this table") for run in strangers]
    return tables
