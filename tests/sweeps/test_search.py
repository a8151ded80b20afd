"""Sweeps that search: what is drawn, what each loss gets, and how a search goes on."""

import json
import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from rgan_bench.cli import train as cli
from rgan_bench.config.schema import Config
from rgan_bench.config.validate import config_dir
from rgan_bench.errors import UserError
from rgan_bench.run.objective import objective, value_of
from rgan_bench.sweeps.outcomes import Outcome, Sweep
from rgan_bench.sweeps.plan import expand
from rgan_bench.sweeps.space import Interval, Space
from tests.conftest import TINY

SEARCH = ["-m", *TINY, "hydra.sweep.dir=search", "loss=sgan,lsgan", "optim.lr=tag(log,interval(1e-4,1e-2))"]


@pytest.fixture
def rgan_train(run_command: Callable[..., tuple[int, str, str]]) -> Callable[..., tuple[int, str, str]]:
    return partial(run_command, cli.main)


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> dict[float, str]:
    """Runs that take no time, and score the distance of their learning rate from 1e-3. Learning rate → another status
    than finished."""
    others: dict[float, str] = {}

    def run(composed: DictConfig, **how: object) -> Outcome:
        status = others.get(composed.optim.lr, "finished")
        return Outcome(status, scores={"fd_pixels": abs(math.log10(composed.optim.lr) + 3)})

    monkeypatch.setattr(cli, "run", run)
    return others


def space(*overrides: str) -> Space:
    return Space.of(OverridesParser.create().parse_overrides(list(overrides)))


def test_all_that_is_listed_is_tried_at_the_same_draws() -> None:
    found = space("seed=1,2", "optim.n_d=choice(1,5)", "optim.lr=tag(log,interval(1e-5,1e-2))", "data=demo")
    cells = found.random_cells(30, seed=0)
    drawn = {seed: [cell[2:] for cell in cells if f"seed={seed}" in cell] for seed in (1, 2)}
    assert drawn[1] == drawn[2]
    assert len(drawn[1]) == 30
    assert {cell[0] for cell in drawn[1]} == {"optim.n_d=1", "optim.n_d=5"}
    rates = [float(cell[1].removeprefix("optim.lr=")) for cell in drawn[1]]
    assert all(1e-5 <= rate <= 1e-2 for rate in rates)
    assert 5 <= sum(rate < math.sqrt(1e-5 * 1e-2) for rate in rates) <= 25  # half of them, in the logarithm
    assert cells[:20] == found.random_cells(10, seed=0)  # more trials come after those of before
    assert cells != found.random_cells(30, seed=1)
    assert len(space("optim.n_d=int(interval(1,3))").random_cells(50, seed=0)) == 3  # each once, both ends among them


@pytest.mark.parametrize(
    ("interval", "middle"),
    [
        (Interval(1e-4, 1e-2, log=True, whole=False), "0.001"),
        (Interval(0, 0.5, log=False, whole=False), "0.25"),
        (Interval(1, 5, log=False, whole=True), "3"),
    ],
)
def test_the_middle_of_an_interval(interval: Interval, middle: str) -> None:
    assert interval.at(0.5) == middle


@pytest.mark.parametrize("text", ["interval(3,1)", "tag(log,interval(0,1))", "interval(0,inf)", "1e-4", "1e-4,2e-4"])
def test_what_cannot_be_searched_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="interval"):
        space(f"optim.lr={text}").random_cells(2, seed=0)


def test_a_random_search_is_a_sweep_like_any_other(untrained: dict[float, str], rgan_train: Callable) -> None:
    status, out, _ = rgan_train(*SEARCH, "hydra/sweeper=random", "hydra.sweeper.n_trials=2")
    assert status == 0
    assert "cell 4 of 4" in out
    planned = Sweep(Path("search")).cells()
    assert [cell.split(" ")[0] for cell in planned] == 2 * ["loss=sgan", "loss=lsgan"]
    assert [outcome.overrides for outcome in Sweep(Path("search")).outcomes()] == planned
    assert rgan_train(*SEARCH, "hydra/sweeper=random", "hydra.sweeper.n_trials=none")[0] == 2


def test_lr_search_gives_eight_losses_equal_budgets() -> None:
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        overrides = ["sweep=lr_search", "hydra.sweeper.n_trials=3"]
        cells = expand(compose("config", overrides=overrides, return_hydra_config=True))
    found = [dict(each.split("=") for each in cell) for cell in cells or []]
    assert len({cell["loss"] for cell in found}) == 8
    assert len({cell["optim.lr"] for cell in found}) == 3
    assert len(found) == 24


def test_optuna_gives_each_loss_its_trials_and_goes_on(untrained: dict[float, str], rgan_train: Callable) -> None:
    """An interrupted trial is the first of the next call; one that diverged counts, as the worst."""
    optuna = pytest.importorskip("optuna", reason="the extra `optuna` is not installed")
    arguments = [*SEARCH, "hydra/sweeper=optuna"]

    def trials() -> dict[str, list]:
        storage = optuna.storages.RDBStorage("sqlite:///search/search.db")
        studies = [optuna.load_study(study_name=each.study_name, storage=storage) for each in storage.get_all_studies()]
        return {study.study_name.split(" ")[0]: study.trials for study in studies}

    assert rgan_train(*arguments, "hydra.sweeper.n_trials=2")[0] == 0
    before = trials()
    assert [len(before[loss]) for loss in ("sgan", "lsgan")] == [2, 2]
    rates = [trial.params["optim.lr"] for trial in before["sgan"]]
    assert len(set(rates)) == 2
    assert all(trial.value == abs(math.log10(trial.params["optim.lr"]) + 3) for trial in before["sgan"])

    (Path("search") / "search.db").unlink()  # anew: the same draws, whatever becomes of them
    untrained |= {rates[0]: "diverged", rates[1]: "interrupted"}
    status, out, _ = rgan_train(*arguments, "hydra.sweeper.n_trials=2")
    assert "trial 3 of 4" in out
    statuses = [outcome.status for outcome in Sweep(Path("search")).outcomes()]
    assert statuses == ["diverged", "diverged", "interrupted", "not started"]
    assert [trial.value for trial in trials()["sgan"]] == [math.inf, None]

    del untrained[rates[1]]
    status, out, said = rgan_train(*arguments, "hydra.sweeper.n_trials=3")
    assert status == 0
    assert "trial 1 of 4" in out
    assert Sweep(Path("search")).cells()[0] == f"loss=sgan optim.lr={rates[1]}"
    assert [trial.params["optim.lr"] for trial in trials()["sgan"]][:2] == rates
    assert all(len(each) == 3 for each in trials().values())
    best = min(trial.value for trial in trials()["lsgan"])
    assert f"loss=lsgan: best fd_pixels of 3 trials {best:.4g}, at optim.lr=" in out + said

    assert "nothing left to run" in rgan_train(*arguments, "hydra.sweeper.n_trials=3")[1]
    rgan_train(*arguments, "hydra.sweeper.n_trials=1", "train.iterations=8", "loss=sgan")  # is another question
    assert len(optuna.storages.RDBStorage("sqlite:///search/search.db").get_all_studies()) == 3


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("hydra.sweeper.n_trials=0", "n_trials=0: must be a whole number"),
        ("hydra.sweeper.n_jobs=0", "n_jobs=0: must be a whole number"),
        ("hydra.sweeper.score=kid", "score=kid: is not computed; fid asks for fd_pixels"),
        ("fid.every=null", "fid.every=null: without scores"),
        ("optim.lr=1e-3", "nothing is searched"),
    ],
)
def test_a_search_that_cannot_be_is_refused(wrong: str, said: str, rgan_train: Callable) -> None:
    if "=0" not in wrong and "lr" not in wrong:
        pytest.importorskip("optuna", reason="the extra `optuna` is not installed")
    status, _, err = rgan_train(*SEARCH, "hydra/sweeper=optuna", wrong)
    assert (status, list(Path().iterdir())) == (2, [])
    assert said in err


def test_without_optuna_that_is_said(rgan_train: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    status, _, err = rgan_train(*SEARCH, "hydra/sweeper=optuna")
    assert (status, list(Path().iterdir())) == (2, [])
    assert "pip install 'rgan-bench[optuna]', or search without it: hydra/sweeper=random" in err


def test_cells_of_a_sweeper_that_is_none_of_ours(tmp_path: Path) -> None:
    """It tells of them when their turn comes."""
    sweep = Sweep(tmp_path)
    sweep.start([], [], fixed=["data=demo"])
    assert sweep.where_it_stands(4, ["data=demo", "loss=sgan"]) == "trial 5: loss=sgan"
    sweep.record(Outcome("finished", number=4, overrides="loss=sgan"))
    assert [outcome.number for outcome in sweep.outcomes()] == [4]
    assert json.loads(sweep.plan.read_text())["total"] is None


def test_what_a_search_is_told(compose_config: Callable[..., Config]) -> None:
    points = compose_config("data=ring8")
    assert objective(points) == ("wasserstein", False)
    assert objective(points, "modes") == ("modes", True)
    several = compose_config("fid.features=[pixels,inception]", "fid.metrics=[precision_recall,frechet]")
    assert objective(several) == ("fid", False)
    told = partial(value_of, name="fid", higher=False)
    assert told("finished", {"fid (rank-deficient)": 3.0}) == told("already finished", {"fid": 3.0}) == 3
    assert told("diverged", {}) == told("finished", {"fid": math.nan}) == math.inf
    assert value_of("diverged", {}, "modes", higher=True) == -math.inf
    assert told("interrupted", {"fid": 3.0}) is told("not scored", {"kid": 3.0}) is None
