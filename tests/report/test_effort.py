from pathlib import Path

import pytest

from rgan_bench.report.cells import Column, Table, make_cell
from rgan_bench.report.effort import Effort, as_data, effort_at, effort_to, thresholds
from rgan_bench.report.runs import Run, Score

PROTOCOL = {"metric": "frechet", "features": "pixels", "rank_deficient": False}


def run(seed: int, values: list[float], seconds: dict[int, float] | None = None, n_d: int = 2) -> Run:
    """Scored at 0, 10, 20, …"""
    history = [(10 * index, value) for index, value in enumerate(values)]
    config = {
        "seed": seed,
        "optim": {"n_d": n_d},
        "arch": {"pac": 3, "name": "cnn32", "spectral_norm": True},
        "train": {"batch_size": 4, "iterations": history[-1][0]},
        "loss": {"name": "x"},
    }
    score = Score("fd_pixels", PROTOCOL, history[-1], history)
    return Run(Path(str(seed)), "x", "finished", history[-1][0], config, {"fd_pixels": score}, seconds=seconds or {})


def table(cells: dict[str, list[Run]], metric: str = "frechet") -> Table:
    made = {row: make_cell(runs, lambda run: run.final("fd_pixels")) for row, runs in cells.items()}
    return Table("t", "t", "fd_pixels", list(cells), [Column("c", made)], False, {**PROTOCOL, "metric": metric})


def test_effort_is_counted_from_the_settings_and_seconds_from_the_run() -> None:
    assert effort_at(run(1, [9, 5], {10: 7.5}), 10) == Effort(10, 20, 240, 7.5)
    assert effort_at(run(1, [9, 5]), 10) == Effort(10, 20, 240, None)


def test_the_first_score_that_is_as_good() -> None:
    of = run(1, [9, 5, 6, 4])
    assert effort_to(of, "fd_pixels", 5, higher_is_better=False).iterations == 10
    assert effort_to(of, "fd_pixels", 4.5, higher_is_better=False).iterations == 30
    assert effort_to(of, "fd_pixels", 1, higher_is_better=False) is None
    assert effort_to(of, "fd_pixels", 8, higher_is_better=True).iterations == 0
    assert effort_to(of, "kd_pixels", 8, higher_is_better=False) is None


def test_thresholds_are_the_worst_and_the_median_loss() -> None:
    made = table({
        "good": [run(1, [9, 4, 3, 2], {10: 1.0, 20: 2.0, 30: 3.0}), run(2, [9, 8, 3, 2], {10: 1.5, 20: 2.5, 30: 3.5})],
        "middle": [run(1, [9, 8, 7, 3]), run(2, [9, 8, 7, 5])],
        "bad": [run(1, [9, 8, 7, 6]), run(2, [9, 8, 7, 8])],
    })  # fmt: skip
    worst, middle = thresholds(made)
    assert (worst.value, middle.value) == (7, 4)
    rows = {row["row"]: row for row in as_data(worst)["rows"]}
    assert {row: (found["reached"], found["iterations"]) for row, found in rows.items()} == {
        "good": (2, 15), "middle": (2, 20), "bad": (2, 20),
    }  # fmt: skip
    assert rows["good"]["seconds"] == pytest.approx(1.75)
    assert (rows["good"]["discriminator_steps"], rows["good"]["images"]) == (30, 360)
    assert rows["middle"]["seconds"] is None  # not known
    rows = {row["row"]: row for row in as_data(middle)["rows"]}
    # Of the seeds of the others at most one got so far: the median is not known.
    assert {row: (found["reached"], found["iterations"]) for row, found in rows.items()} == {
        "good": (2, 15), "middle": (1, None), "bad": (0, None),
    }  # fmt: skip


def test_where_higher_is_better_the_lowest_mean_is_the_worst() -> None:
    made = table({"good": [run(1, [0, 8])], "bad": [run(1, [0, 1])]}, metric="modes")
    (threshold,) = thresholds(made)  # of two losses the median is the worse one
    assert (threshold.value, [row.typical("iterations") for row in threshold.rows]) == (1, [10, 10])


def test_losses_with_missing_seeds_set_no_threshold() -> None:
    unfinished = run(2, [9, 9])
    unfinished.config["train"]["iterations"] = 99
    assert thresholds(table({"good": [run(1, [9, 2])], "bad": [run(1, [9, 5]), unfinished]})) == []
