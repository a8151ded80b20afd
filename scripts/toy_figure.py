"""A picture of a sweep over losses and penalties on a toy set: who converges, who cycles, who collapses.

    python -m scripts.toy_figure outputs/demo_toy --out outputs/demo_toy

Rows are losses, columns penalties. A panel shows the real modes as rings, and fakes from the last checkpoints of the
run, the older the paler: where a generator has converged, they lie on one another. Below stand the run's last scores.
Writes OUT.png and OUT.svg.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from rgan_bench import load_generator, register
from rgan_bench.config.schema import LimitsConfig
from rgan_bench.config.validate import data_config, root_defaults
from rgan_bench.data.load import load_data
from rgan_bench.data.points import PointDataset
from rgan_bench.files import by_iteration
from rgan_bench.scoring.protocol import POINT_METRICS
from rgan_bench.scoring.sampling import as_they_are, sample

TIMES = 4  # checkpoints that a panel shows
FAKES = 400  # of each
COLOURS = "viridis_r"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("outputs", type=Path, help="the folder of the runs")
    parser.add_argument("--out", type=Path, required=True, help="OUT.png and OUT.svg are written")
    arguments = parser.parse_args()
    runs = find_runs(arguments.outputs)
    if not runs:
        parser.error(f"{arguments.outputs}: holds no runs on points")
    figure = draw(runs)
    for suffix in ("png", "svg"):
        path = arguments.out.with_suffix(f".{suffix}")
        figure.savefig(path, dpi=130, metadata={"Date": None} if suffix == "svg" else None)
        print(path)


def find_runs(outputs: Path) -> dict[tuple[str, str], tuple[Path, dict[str, Any]]]:
    """(loss, penalty) → the folder and result of its run; of several seeds the first. In the register's order.

    Runs with several penalties at once are left out.
    """

    def order(run: tuple[Path, dict[str, Any]]) -> list[Any]:
        loss = run[1]["config"]["loss"]
        kinds = ("comparison", "function", "penalty")
        return [*(register.names(kind).index(loss[kind]) for kind in kinds), run[1]["config"]["seed"]]

    results = [(path.parent, json.loads(path.read_text())) for path in outputs.glob("*/result.json")]
    found: dict[tuple[str, str], tuple[Path, dict[str, Any]]] = {}
    for run in sorted((run for run in results if has_a_panel(run[1])), key=order):
        loss = run[1]["config"]["loss"]
        name = "wgan" if loss["name"] == "wgangp" else loss["name"]  # its penalty may be another one, or none
        found.setdefault((name, loss["penalty"]), run)
    return found


def has_a_panel(result: dict[str, Any]) -> bool:
    return "modes" in result["scores"] and isinstance(result["config"]["loss"]["penalty"], str)


def draw(runs: dict[tuple[str, str], tuple[Path, dict[str, Any]]]) -> Figure:
    losses = list(dict.fromkeys(loss for loss, _ in runs))
    penalties = sorted({penalty for _, penalty in runs}, key=register.names("penalty").index)
    figure = Figure(figsize=(2.1 * len(penalties) + 0.4, 2.3 * len(losses) + 1.1), layout="constrained")
    panels = figure.subplots(len(losses), len(penalties), squeeze=False)
    data = real_points(next(iter(runs.values()))[1])
    last = max(result["iteration"] for _, result in runs.values())
    times = sorted({time for folder, _ in runs.values() for time, _ in checkpoints(folder)})
    norm = Normalize(times[0] - (times[-1] - times[0]) / 3, times[-1])
    for row, loss in enumerate(losses):
        for column, penalty in enumerate(penalties):
            axes = panels[row][column]
            axes.set(xticks=[], yticks=[], aspect="equal")
            axes.spines[:].set_color("#c8ccd1")
            if row == 0:
                axes.set_title(title_of(penalty, runs), fontsize=11)
            if column == 0:
                axes.set_ylabel(loss, fontsize=11)
            if (loss, penalty) in runs:
                panel(axes, *runs[loss, penalty], data, norm)
    colours = ScalarMappable(norm, COLOURS)
    bar = figure.colorbar(colours, ax=panels, location="bottom", ticks=times, shrink=0.5, aspect=40, pad=0.02)
    bar.ax.set_xlim(times[0], times[-1])
    bar.set_label("iteration of the fakes; near: within 3 standard deviations of a mode", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    figure.suptitle(f"{data.name} after {last:,} iterations, the same settings everywhere", fontsize=12)
    return figure


def title_of(penalty: str, runs: dict[tuple[str, str], tuple[Path, dict[str, Any]]]) -> str:
    """ "gp × 0.1"; with every weight that the penalty has."""
    if penalty == "none":
        return "no penalty"
    weights = {result["config"]["loss"]["penalty_weight"] for (_, each), (_, result) in runs.items() if each == penalty}
    return f"{penalty} × {', '.join(f'{weight:g}' for weight in sorted(weights))}"


def panel(axes: Any, folder: Path, result: dict[str, Any], data: PointDataset, norm: Normalize) -> None:
    reach = 1.6 * data.modes.abs().max().item()
    for iteration, path in checkpoints(folder):
        settings = {"seed": 0, "purpose": "figure", "batch_norm": "batch", "batch_size": FAKES, "stored": as_they_are}
        (fakes,) = sample(load_generator(path), FAKES, **settings)
        x, y = fakes.flatten(1).numpy().T
        axes.scatter(x, y, s=3, color=ScalarMappable(norm, COLOURS).to_rgba(iteration), linewidths=0, alpha=0.8)
    axes.scatter(*data.modes.T, s=90, facecolors="none", edgecolors="#c8102e", linewidths=0.9)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach))
    modes, near, distance = (result["scores"][name]["final"]["value"] for name in POINT_METRICS)
    text = f"{modes:.0f}/{len(data.modes)} modes, {near:.0%} near, W₁ {distance:.2f}"
    if result["status"] != "finished":
        text = f"{result['status']} at {result['iteration']:,}"
    axes.set_xlabel(text, fontsize=8)


def checkpoints(folder: Path) -> list[tuple[int, Path]]:
    paths = by_iteration(folder / "checkpoints", ".pt")[-TIMES:]
    return [(int(path.stem.removeprefix("iter_")), path) for path in paths]


def real_points(result: dict[str, Any]) -> PointDataset:
    settings = {key: value for key, value in result["config"]["data"].items() if key != "name"}
    data = load_data(data_config(result["data"]["name"], **settings), LimitsConfig(**root_defaults()["limits"]))
    assert isinstance(data, PointDataset)
    return data


if __name__ == "__main__":
    main()
