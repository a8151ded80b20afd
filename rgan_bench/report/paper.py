"""The paper's tables, with ours beside the paper's numbers where these may be compared."""

from functools import cache
from importlib.resources import files
from typing import Any

from omegaconf import OmegaConf

from rgan_bench.report.cells import Cell, Column, Table, finish, make_cell, rank_note
from rgan_bench.report.protocols import average_draws, choose_protocol
from rgan_bench.report.runs import AVERAGES, Run
from rgan_bench.scoring.protocol import INCEPTION_WEIGHTS, TABLE3_ITERATIONS

STATISTICS = ("min", "max", "mean", "sd")
TITLES = {
    "stable": "lr 2e-4, betas (.5, .999), n_d 1",
    "wgangp": "lr 1e-4, betas (.5, .9), n_d 5",
    "lr1e-3": "lr 1e-3",
    "betas0.9": "betas (.9, .9)",
    "no_bn": "no batch norm",
    "tanh": "tanh everywhere",
}
SETTINGS = {"table1": ("stable", "wgangp"), "table2": ("lr1e-3", "betas0.9", "no_bn", "tanh")}
IMAGES = {"cat64": 9304, "cat128": 6645, "cat256": 2011}
FAKES = {"cat64": 10_000, "cat128": 10_000, "cat256": 2_000}
FIRST_CODE = (
    "the paper's cells of RaSGAN and RaLSGAN come, at least in part, from its author's first code, whose second term "
    "takes mean(f) - r where the paper has f - mean(r): our losses rasgan_v1 and ralsgan_v1"
)


@cache
def paper() -> dict[str, Any]:
    text = files("rgan_bench.report").joinpath("paper_tables.yaml").read_text()
    loaded: Any = OmegaConf.to_container(OmegaConf.create(text))
    assert isinstance(loaded, dict)
    return loaded


def paper_table(runs: list[Run], name: str, score: str) -> list[Table]:
    """Table 1 or 2: one; table 3: one a size. Settings without a run show as missing.

    Args:
        runs: that belong to cells of the table.
    """
    if name == "table3":
        sizes = [size for size in IMAGES if any(setting_of(run) == size for run in runs)]
        return [table3(size, [run for run in runs if setting_of(run) == size], score) for size in sizes]
    chosen = average_draws(choose_protocol(runs, score))
    kept = chosen.runs
    printed = paper()[name]["cells"]
    beside = bool(kept) and all(may_stand_beside_paper(run, score, "") for run in kept)
    found = grouped(kept)
    rows = [*printed, *sorted({row for _, row in found} - set(printed))]

    def cell(row: str, setting: str) -> Cell:
        value = printed.get(row, {}).get(setting) if beside else None
        return make_cell(found.get((setting, row), []), lambda run: run.final(score), value)

    columns = [Column(TITLES[setting], {row: cell(row, setting) for row in rows}) for setting in SETTINGS[name]]
    notes = (
        provenance(beside, name) + rank_note(score, chosen.protocol) + finish(columns, chosen.protocol) + chosen.notes
    )
    title = f"{chosen.label} at {kept[0].iterations:,} iterations" if kept else paper()[name]["caption"]
    return [Table(name, title, score, rows, columns, beside, chosen.protocol, notes)]


def table3(size: str, runs: list[Run], score: str) -> Table:
    chosen = choose_protocol(runs, score)
    kept = chosen.runs
    printed = paper()["table3"][size]["cells"]
    beside = bool(kept) and all(may_stand_beside_paper(run, score, size) for run in kept)
    found = grouped(kept)
    rows = [*printed, *sorted({row for _, row in found} - set(printed))]
    columns = []
    for index, statistic in enumerate(STATISTICS):

        def cell(row: str, index: int = index, statistic: str = statistic) -> Cell:
            value = printed[row][index] if beside and row in printed else None
            mine = found.get((size, row), [])
            return make_cell(mine, lambda run: run.statistic(score, statistic), value, TABLE3_ITERATIONS)

        columns.append(Column(statistic, {row: cell(row) for row in rows}, spread=statistic == "sd"))
    notes = (
        provenance(beside, "table3")
        + rank_note(score, chosen.protocol)
        + finish(columns, chosen.protocol)
        + chosen.notes
    )
    title = f"{chosen.label} over 20k, 30k, ..., 100k iterations, {size}"
    return Table(f"table3_{size}", title, score, rows, columns, beside, chosen.protocol, notes)


def setting_of(run: Run) -> str:
    """The setting of a run that belongs to a cell; in table 3 that is the size."""
    assert run.cell is not None
    return run.cell[1]


def grouped(runs: list[Run]) -> dict[tuple[str, str], list[Run]]:
    """(setting, row) → runs. A name that stands for several losses of the user's own, or for runs with several averages
    or precisions, or with and without an average, has a row for each: such runs are no seeds of one another."""
    losses: dict[str, set[str]] = {}
    variants: dict[str, set[str]] = {}
    for run in runs:
        losses.setdefault(run.row, set()).add(str(run.identity["loss"]))
        variants.setdefault(run.row, set()).add(str(variant_of(run)))
    found: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        told = run.identity["loss"] if len(losses[run.row]) > 1 else {}
        told = {**told, **(variant_of(run) if len(variants[run.row]) > 1 else {})}
        choices = ", ".join(f"{key}={value}" for key, value in told.items())
        row = f"{run.row} with {choices}" if choices else run.row
        found.setdefault((setting_of(run), row), []).append(run)
    return found


def variant_of(run: Run) -> dict[str, Any]:
    """What the paper's cells do not tell apart: the settings of its averaged generator, its precision. Empty where both
    are neutral."""
    return {key: value for key, value in run.identity.items() if key in (*AVERAGES, "precision")}


def may_stand_beside_paper(run: Run, score: str, setting: str) -> bool:
    """Whether the run is what the paper did, as far as a config can tell."""
    protocol, config = run.scores[score].protocol, run.config
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


def provenance(beside: bool, name: str) -> list[str]:
    """What a reader of the paper's numbers must know."""
    script = "outside the lr column the learning rate is 1e-4, as in the author's script; it is not printed"
    if not beside:
        hidden = "the paper's numbers are not shown: these runs are not what the paper ran and scored"
        return [hidden] + [script] * (name == "table2")
    confirmed = "; ".join(
        f"{table} {part}: {', '.join(names)}"
        for table, parts in paper()["confirmed"].items()
        for part, names in parts.items()
    )
    return [
        f"paper: {paper()['source']}, one run (seed {paper()['seed']}) a cell, transcribed by hand; "
        f"confirmed against a second public source: {confirmed}",
        script if name == "table2" else FIRST_CODE,
    ]
