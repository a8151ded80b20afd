"""The table of a search, and the estimator behind it against enumeration."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

from rgan_bench.report.budget import budgets, expected_best
from rgan_bench.report.search import searched_keys
from tests.report.conftest import Make, rewrite

SCORES = [3.5, 1.25, 8.0, 1.25, 2.75, 5.0, 40.0]
RATES = [1.234e-5, 3.111e-4, 2.345e-3, 7.771e-4, 5.678e-5, 1.999e-4, 8.765e-3, 4.321e-4]


@pytest.mark.parametrize("higher", [False, True])
@pytest.mark.parametrize("trials", [1, 2, 3, 7])
def test_the_expected_best_is_the_mean_over_all_choices(trials: int, higher: bool) -> None:
    best = max if higher else min
    enumerated = fmean(best(choice) for choice in itertools.combinations(SCORES, trials))
    assert expected_best(SCORES, trials, higher=higher).value == pytest.approx(enumerated, rel=1e-12)


def test_the_interval_is_the_bootstrap_s() -> None:
    """Against all samples that can be drawn with replacement, of one trial: their means."""
    scores = [0.0, 1.0, 3.0, 10.0, 11.0]
    means = [fmean(sample) for sample in itertools.product(scores, repeat=len(scores))]
    low, high = np.quantile(means, [0.025, 0.975])
    found = expected_best(scores, 1, higher=False).interval
    assert found == pytest.approx((low, high), abs=0.5)
    assert expected_best(scores, 2, higher=False).interval is None  # five trials are too few to tell
    mirrored = expected_best([-score for score in scores], 1, higher=True).interval
    assert mirrored == pytest.approx((-found[1], -found[0]))


def test_budgets() -> None:
    assert budgets(24) == [1, 2, 5, 10, 20, 24]
    assert budgets(1) == [1]
    assert budgets(0) == []


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        (RATES, True),
        (RATES[:7], False),
        ([1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3], False),
        ([round(10 ** (-5 + i / 3), 7) for i in range(10)], False),
        ([*(0.125 * i for i in range(10)), 0.333], False),
    ],
)
def test_which_values_look_drawn(values: list[float], drawn: bool) -> None:
    settings = [{"loss": "sgan", "optim.lr": value} for value in values]
    assert searched_keys(settings) == ["optim.lr"] * drawn


@pytest.fixture
def a_search(make: Make) -> None:
    """Two losses at the same eight learning rates; two trials of the second diverged, and one has not begun."""
    for loss, scores in (("sgan", [90, 40, 70, 30, 80, 50, 95, 35]), ("rasgan", [60, 55, None, 20, 65, 58, None])):
        for rate, score in zip(RATES, scores, strict=False):
            diverged = {"status": "diverged", "iteration": 1200} if score is None else {}
            folder = make("data=demo", f"loss={loss}", value=score, features="pixels", **diverged)
            rewrite(folder, config__optim__lr=rate)
    rewrite(
        make("data=demo", "loss=rasgan", status="running", iteration=5, features="pixels"), config__optim__lr=1.5e-3
    )


@pytest.mark.usefixtures("a_search")
def test_a_search_is_told_by_budgets(rgan_table: Callable) -> None:
    (table,) = json.loads(rgan_table("outputs", "--format", "json")[1])
    assert table["table"] == "search"
    (searched,) = table["searched"]
    sgan, rasgan = searched["rows"]
    assert (searched["keys"], searched["budgets"], searched["worst"]) == (["optim.lr"], [1, 2, 5, 7], 400)
    assert rasgan["scores"] == [60, 55, 20, 65, 58, 400, 400]
    assert (rasgan["values"], rasgan["diverged"], rasgan["unfinished"]) == ([7.771e-4], 2, 1)
    assert [each["trials"] for each in sgan["expected"]] == searched["budgets"]
    assert rasgan["expected"][-1]["value"] == 20
    assert sgan["expected"][0]["value"] == fmean(sgan["scores"])
    assert [cell["mean"] for cell in table["columns"][0]["cells"].values()] == [30, 20]
    said = " ".join([*table["warnings"], *table["verdict"]])
    assert "Trials diverged, and count as 400, the worst score of any run here at any time: rasgan 2 of 7." in said
    assert "Trials have no score yet, and are left out: rasgan 1." in said
    assert "Not all have equally many trials (sgan 8, rasgan 7); they compare at equal budget up to 7" in said
    assert "of 1 sgan, 61.25 (95 % CI " in said
    assert "; of 7 rasgan, 20." in said


@pytest.mark.usefixtures("a_search")
def test_a_search_has_all_formats_and_a_figure(rgan_table: Callable) -> None:
    status, out, _ = rgan_table("outputs", "--figures", "figures")
    assert status == 0
    assert "| rasgan | 7, 2 diverged | 0.0007771" in out
    assert Path("figures/search_fd_pixels_against_trials.svg").is_file()
    for form in ("csv", "latex", "tabular", "html"):
        assert rgan_table("outputs", "--format", form)[0] == 0
    grid = json.loads(rgan_table("outputs", "--table", "sweep", "--format", "json")[1])
    assert [each["table"] for each in grid] == ["sweep"]
    assert len(grid[0]["columns"]) == 9


def test_a_grid_is_a_search_where_one_is_asked_for(make: Make, rgan_table: Callable) -> None:
    for rate, score in ((1e-4, 9.0), (2e-4, 7.0)):
        rewrite(make("data=demo", "loss=sgan", value=score, features="pixels"), config__optim__lr=rate)
    (table,) = json.loads(rgan_table("outputs", "--format", "json")[1])
    assert table["table"] == "sweep"
    (table,) = json.loads(rgan_table("outputs", "--table", "search", "--format", "json")[1])
    assert [each["value"] for each in table["searched"][0]["rows"][0]["expected"]] == [8, 7]
    status, _, err = rgan_table("outputs/run_000", "--table", "search")
    assert status == 2
    assert "--table search: none of the 1 runs belongs there" in err
