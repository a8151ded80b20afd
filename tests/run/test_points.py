"""Runs on points, from the first command to the table: the same machinery as on images, with scores of their own."""

import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from rgan_bench.cli import fid, table, train
from rgan_bench.config.schema import Config
from rgan_bench.config.validate import validate
from rgan_bench.plugins import forget_plugins
from rgan_bench.report.cells import Column, finish
from rgan_bench.run.experiment import run_experiment
from scripts import toy_figure
from scripts.crash_test import differences
from tests.report.made import made_cell
from tests.run.test_reliability import cut_at, folder_in, interrupt, result_in

TOY = (
    "data=ring8", "data.num_images=300", "arch.width=4", "train.iterations=4", "train.batch_size=8", "device=cpu",
    "train.log_every=1", "train.sample_every=2", "train.checkpoint_every=2", "fid.every=2", "fid.num_samples=100",
)  # fmt: skip
NAMES = ["modes", "high_quality", "wasserstein"]


@pytest.fixture
def rgan_train(run_command: Callable) -> Callable[..., tuple[int, str, str]]:
    return partial(run_command, train.main)


def test_a_run_its_answer_and_its_scores_once_more(rgan_train: Callable, run_command: Callable) -> None:
    status, out, err = rgan_train(*TOY)
    assert status == 0, err
    assert "ring8: 300 points around 8 modes (drawn from data_seed 0)" in out
    for name in NAMES:
        assert f"{name} " in out
    folder, result = folder_in("outputs"), result_in("outputs")
    assert list(result["scores"]) == NAMES
    assert [iteration for iteration, _ in result["scores"]["modes"]["history"]] == [0, 2, 4]
    assert result["diversity"] is None  # of points their scores tell
    assert "grid/pixel_sd" not in (folder / "metrics.jsonl").read_text()
    status, out, _ = rgan_train(*TOY)
    assert (status, "already finished at 4" in out) == (0, True)
    status, out, _ = run_command(fid.main, folder, "--all", "--json")
    assert status == 0
    rows = json.loads(out)
    assert [(row["iteration"], row["score"]) for row in rows] == [(i, name) for i in (2, 4) for name in NAMES]
    for row in rows:
        assert row["value"] == pytest.approx(dict(result["scores"][row["score"]]["history"])[row["iteration"]])
        assert row["protocol"] == result["protocol"][row["score"]]
    status, out, _ = run_command(fid.main, folder)
    assert status == 0
    assert [line.split()[2] for line in out.splitlines()[1:]] == NAMES


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--features", "pixels"), r"fid.features=[pixels]: data=ring8 holds points"),
        (("--data", "demo"), "fid.features=[points]: data=demo holds images"),
    ],
)
def test_rgan_fid_refuses_what_has_no_meaning(
    arguments: tuple[str, ...], message: str, compose_config: Callable, run_command: Callable
) -> None:
    run_experiment(compose_config(*TOY, "train.iterations=1", "train.sample_every=null"))
    status, _, err = run_command(fid.main, folder_in("outputs"), *arguments)
    assert status == 2
    assert message in err
    assert len(err.splitlines()) == 1


def test_images_are_no_points(run_command: Callable) -> None:
    Path("images").mkdir()
    for index in range(2):
        Image.new("RGB", (8, 8)).save(f"images/{index}.png")
    status, _, err = run_command(fid.main, "images", "--data", "ring8")
    assert status == 2
    assert "holds images, and data=ring8 points; choose other data" in err


def test_the_scatter_plot_shows_reals_and_fakes(compose_config: Callable[..., Config]) -> None:
    run_experiment(compose_config(*TOY, "fid.every=null"))
    paths = sorted((folder_in("outputs") / "samples").iterdir())
    assert [path.name for path in paths] == ["iter_000000.png", "iter_000002.png", "iter_000004.png"]
    pictures = []
    for path in paths:
        image = Image.open(io.BytesIO(path.read_bytes()))
        assert (image.format, image.size) == ("PNG", (400, 400))
        pictures.append(np.asarray(image.convert("RGB")).astype(int))
    red = pictures[0][..., 0] - pictures[0][..., 1]
    assert (red > 100).any()  # fakes, near the middle where an untrained generator puts them
    rows, columns = np.nonzero(red > 100)
    assert 150 < rows.mean() < 250
    assert 150 < columns.mean() < 250
    grey = (abs(red) < 30) & (pictures[0].sum(axis=2) < 3 * 240)
    rows, columns = np.nonzero(grey)
    radius = np.hypot(rows - 200, columns - 200) / 200 * 2.8
    assert abs(radius - 2).max() < 0.2  # reals, where they are
    assert not (pictures[0] == pictures[2]).all()


@pytest.mark.parametrize("overrides", [(), ("loss=rsgan_r1r2", "arch.pac=2", "arch.batch_norm=generator")], ids=str)
def test_a_stopped_run_ends_where_it_would_have_ended(
    overrides: tuple[str, ...], compose_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = (*TOY, *overrides)
    run_experiment(compose_config(*settings, "output_root=whole"))
    config = compose_config(*settings, "output_root=stopped")
    with monkeypatch.context() as patch:
        cut_at(3, interrupt, patch)
        assert run_experiment(config)["status"] == "interrupted"
    assert run_experiment(config)["status"] == "finished"
    assert differences(folder_in("whole"), folder_in("stopped")) == []


PLUGIN = """
import numpy as np
from rgan_bench.data.points import mixture
from rgan_bench.register import dataset


@dataset("two", image_size=1, of="points", num_images=100, data_seed=0)
def two(data, limits):
    return mixture(data, limits, np.array([[-1.0, 0.0], [1.0, 0.0]]), 0.1)
"""


def test_points_of_a_plugin(rgan_train: Callable) -> None:
    Path("two.py").write_text(PLUGIN)
    settings = [each for each in TOY if not each.startswith("data")]
    try:
        status, out, err = rgan_train("plugins=two.py", "data=two", "arch=mlp2d", *settings)
        assert status == 0, err
        assert "two: 100 points around 2 modes" in out
        assert list(result_in("outputs")["scores"]) == NAMES
        status, _, err = rgan_train("plugins=two.py", "data=two", *settings)
        assert status == 2
        assert "arch=cnn32: makes images, and data=two holds points; choose arch=mlp2d" in err
        # Where a config file alone names the plugin, it is loaded when the config is validated.
        config = result_in("outputs")["config"]
        config["fid"]["features"] = None
        forget_plugins()
        assert validate(OmegaConf.create(config)).fid.features == ["points"]
    finally:
        forget_plugins()


def test_the_average_of_a_generator_of_points(compose_config: Callable[..., Config], run_command: Callable) -> None:
    result = run_experiment(compose_config(*TOY, "ema.half_life=20"))
    averaged = [f"{name}_ema" for name in NAMES]
    assert set(result["scores"]) == {*NAMES, *averaged}
    assert result["protocol"]["modes_ema"]["metric"] == "modes"
    folder = folder_in("outputs")
    assert len(list((folder / "samples_ema").iterdir())) == len(list((folder / "samples").iterdir())) == 3
    status, out, _ = run_command(fid.main, folder, "--ema", "--json")
    assert status == 0
    for row in json.loads(out):
        assert row["value"] == pytest.approx(result["scores"][row["score"]]["final"]["value"])
    assert {row["score"] for row in json.loads(out)} >= set(averaged)
    status, out, _ = run_command(table.main, "outputs")
    assert (status, "wasserstein at 4 iterations" in out, "wasserstein_ema" in out) == (0, True, True)


def test_a_sweep_its_table_and_its_figure(rgan_train: Callable, run_command: Callable) -> None:
    status, out, err = rgan_train("-m", *TOY, "loss=sgan,rsgan", "train.sample_every=null", "fid.every=4")
    assert status == 0, err
    assert "2 of 2 cells are finished" in out
    status, out, _ = run_command(table.main, "outputs", "--format", "json")
    assert status == 0
    found, *others = json.loads(out)
    assert [found["score"], *(other["score"] for other in others)] == ["wasserstein", "modes", "high_quality"]
    cells = found["columns"][0]["cells"]
    assert cells.keys() == {"sgan", "rsgan"}
    best = min(cells, key=lambda name: cells[name]["mean"])
    assert [name for name in cells if cells[name]["best"]] == [best]
    assert not [note for note in found["notes"] if "collapsed" in note]
    status, out, _ = run_command(table.main, "outputs", "--format", "html")
    assert (status, "wasserstein" in out) == (0, True)
    status, out, _ = run_command(toy_figure.main, "outputs", "--out", "figure")
    assert (status, out.split()) == (0, ["figure.png", "figure.svg"])
    assert np.asarray(Image.open("figure.png").convert("L")).std() > 10
    assert Path("figure.svg").read_text().count("8 modes, ") == 2


@pytest.mark.parametrize(("metric", "best"), [("wasserstein", "low"), ("frechet", "low"), ("modes", "high")])
def test_the_best_of_a_column_is_by_its_metric(metric: str, best: str) -> None:
    better = 0.5 if best == "low" else 4.0
    values = {"low": [1.0], "high": [3.0], "better, with a seed missing": [better, "failed"]}
    cells = {name: made_cell(name, found) for name, found in values.items()}
    notes = finish([Column("a column", cells)], {"metric": metric})
    assert [name for name, cell in cells.items() if cell.best] == [best]
    assert f"missing has a {'lower' if best == 'low' else 'higher'} mean than {best}" in notes[0]
