"""Scores that are drawn several times, and of several metrics: through checkpoints, later calls, and rgan-fid."""

import json
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from rgan_bench.cli import fid as fid_cli
from rgan_bench.cli import train as cli
from rgan_bench.config.schema import Config
from rgan_bench.run.experiment import Experiment, run_experiment
from rgan_bench.run.judge import judge
from rgan_bench.run.standing import answer
from rgan_bench.scoring.protocol import Measured, Protocol, ScoreHistory
from rgan_bench.scoring.scorer import Scorer
from tests.conftest import TINY

Tiny = Callable[..., Config]
SHORT = ("train.iterations=2", "train.checkpoint_every=1")


def only_run(root: str = "outputs") -> Path:
    (folder,) = [path for path in Path(root).iterdir() if path.name != "multirun"]
    return folder


def result(root: str = "outputs") -> dict:
    return json.loads((only_run(root) / "result.json").read_text())


def test_the_first_draw_is_the_one_that_there_always_was(tiny_config: Tiny) -> None:
    one = run_experiment(tiny_config(*SHORT, "output_root=one"))
    three = run_experiment(tiny_config(*SHORT, "fid.sampling_seeds=3", "output_root=three"))
    assert one["protocol"] == three["protocol"]
    before, after = (each["scores"]["fd_pixels"] for each in (one, three))
    assert set(before) == {"final", "best", "history", "table3"}
    assert set(before["final"]) == {"iteration", "value"}
    assert after["history"] == before["history"]
    assert set(after["draws"]) == {"0", "2"}
    for iteration, value in after["history"]:
        values = after["draws"][str(iteration)]
        assert values[0] == value
        assert len(set(values)) == 3
    drawn = after["draws"]["2"]
    spread = {"mean": statistics.fmean(drawn), "sd": statistics.stdev(drawn), "draws": 3}
    assert after["final"] == before["final"] | spread
    saved, beside = (torch.load(only_run(root) / "checkpoints" / "last.pt") for root in ("one", "three"))
    assert [set(each) for each in saved["scores"]] == [{"protocol", "entries"}]
    assert beside["scores"][0] == saved["scores"][0] | {"draws": {int(i): v for i, v in after["draws"].items()}}


def test_a_finished_run_makes_the_draws_that_are_missing(
    tiny_config: Tiny, run_command: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    original = Scorer.score

    def noted(self: Scorer, *arguments: object) -> dict[str, float]:
        made.append(arguments[3])
        return original(self, *arguments)

    monkeypatch.setattr(Scorer, "score", noted)
    rgan_train = partial(run_command, cli.main, *TINY, *SHORT, "ema.half_life=30")
    assert rgan_train()[0] == 0
    assert made == [0, 0] * 2
    made.clear()
    status, out, _ = rgan_train("fid.sampling_seeds=3")
    assert (status, made) == (0, [1, 2, 1, 2])
    assert " (SD over 3 draws, whose mean is " in out
    made.clear()
    for seeds in (1, 2, 3):
        assert "already finished at 2" in rgan_train(f"fid.sampling_seeds={seeds}")[1]
    assert rgan_train("fid.sampling_seeds=4")[0] == 0
    assert made == [3, 3]
    for name in ("fd_pixels", "fd_pixels_ema"):
        assert result()["scores"][name]["final"]["draws"] == 4
        assert [iteration for iteration, _ in result()["scores"][name]["history"]] == [0, 2]
    at_once = run_experiment(tiny_config(*SHORT, "ema.half_life=30", "fid.sampling_seeds=4", "output_root=at_once"))
    for name in ("fd_pixels", "fd_pixels_ema"):
        assert at_once["scores"][name]["draws"]["2"] == result()["scores"][name]["draws"]["2"]


def test_draws_go_on_where_a_draw_was_lost(tiny_config: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Scorer.score

    def fails(self: Scorer, *arguments: object) -> dict[str, float]:
        if arguments[3] == 2:
            raise RuntimeError("out of memory")
        return original(self, *arguments)

    experiment = Experiment(tiny_config("fid.sampling_seeds=3"))
    scorer, before = experiment.parts.scorer, experiment.state.progress()
    with monkeypatch.context() as patch:
        patch.setattr(Scorer, "score", fails)
        assert judge(experiment.state, scorer, 1, [], lambda text: None) == {}
    (history,) = experiment.state.scores.values()
    assert history.drawn(0) == 2
    assert experiment.state.failed_scores == [{"iteration": 0, "reason": "out of memory"}]
    at_two = experiment.state.progress()
    assert before != at_two
    assert list(judge(experiment.state, scorer, 1, [], print)) == ["fd_pixels"]
    assert (history.drawn(0), experiment.state.failed_scores) == (3, [])
    assert experiment.state.progress() not in (before, at_two)  # so that it is saved
    assert judge(experiment.state, scorer, 1, [], print) is None


def test_several_metrics_are_histories_of_their_own_and_survive(tiny_config: Tiny) -> None:
    metrics = "fid.metrics=[frechet,precision_recall,density_coverage,mind]"
    first = run_experiment(tiny_config(*SHORT))
    config = tiny_config("train.iterations=3", metrics, "fid.sampling_seeds=2")
    assert answer(Experiment(config).folder, config) is None
    found = run_experiment(config)
    names = [f"{name}_pixels" for name in ("fd", "precision", "recall", "density", "coverage", "mind")]
    assert list(found["scores"]) == names
    assert found["scores"]["fd_pixels"]["history"][:2] == first["scores"]["fd_pixels"]["history"]
    assert found["protocol"]["fd_pixels"] == first["protocol"]["fd_pixels"]
    for name in names:
        assert found["scores"][name]["final"]["draws"] == 2
    known = answer(Experiment(config).folder, config)
    assert list(known.scores) == names
    config.fid.metrics = ["frechet"]
    assert list(answer(Experiment(config).folder, config).scores) == ["fd_pixels"]
    config.fid.metrics = ["kid"]
    assert answer(Experiment(config).folder, config) is None


def test_highest_is_best_by_the_metrics_own_definition(tiny_config: Tiny) -> None:
    for metric, best in (("coverage", 0.9), ("inception_score", 0.9), ("mind", 0.1), ("kernel", 0.1)):
        history = ScoreHistory(Protocol("inception", "w", 9000, 9000, "batch", 9, "d", metric))
        for iteration, value in enumerate((0.5, 0.1, 0.9, 0.3)):
            history.add(iteration, value)
        assert history.summary()["best"]["value"] == best


def test_an_error_bar_stands_beside_its_value() -> None:
    history = ScoreHistory(Protocol("inception", "w", 9000, 9000, "batch", 9, "d", "kernel"))
    history.add(0, Measured(0.5, se_over_subsets=0.01))
    history.add(0, Measured(0.6, se_over_subsets=0.02))
    history.add(5, 0.4)
    summary = history.summary()
    assert summary["errors"] == {"0": {"se_over_subsets": 0.01}}
    assert summary["final"] == {"iteration": 5, "value": 0.4} == summary["best"]
    assert type(history.entries[0][1]) is float  # as a checkpoint can hold it
    again = ScoreHistory.from_dict(history.as_dict())
    assert (again, again.summary()) == (history, summary)
    with_bar = ScoreHistory(history.protocol)
    with_bar.add(0, Measured(0.5, se_over_subsets=0.01))
    assert with_bar.summary()["final"] == {"iteration": 0, "value": 0.5, "se_over_subsets": 0.01}


def test_kid_is_kept_with_its_error_where_it_was_asked_for(tiny_config: Tiny) -> None:
    few = ("fid.num_samples=100", "train.iterations=1")
    beside = run_experiment(tiny_config(*few, "output_root=beside"))["scores"]
    assert set(beside["kd_pixels"]) == {"final", "best", "history", "table3"}
    asked = run_experiment(tiny_config(*few, "fid.metrics=[frechet,kid]", "output_root=asked"))["scores"]
    assert list(beside) == list(asked) == ["fd_pixels", "kd_pixels"]
    assert asked["kd_pixels"]["history"] == beside["kd_pixels"]["history"]


def test_rgan_fid_repeats_and_adds_draws(tiny_config: Tiny, run_command: Callable) -> None:
    rgan_fid = partial(run_command, fid_cli.main)
    run_experiment(tiny_config(*SHORT, "fid.sampling_seeds=2", "fid.metrics=[frechet,mind]"))
    known = result()["scores"]
    status, out, _ = rgan_fid(only_run(), "--json")
    assert status == 0
    rows = json.loads(out)
    assert [row["score"] for row in rows] == ["fd_pixels", "mind_pixels"]
    for row in rows:
        assert row["values"] == pytest.approx(known[row["score"]]["draws"]["2"], rel=1e-6)
        assert (row["draws"], row["mean"]) == (2, pytest.approx(known[row["score"]]["final"]["mean"], rel=1e-6))
    rows = json.loads(rgan_fid(only_run(), "--json", "--sampling-seeds", 3, "--metrics", "precision_recall")[1])
    assert [(row["score"], row["draws"]) for row in rows] == [("precision_pixels", 3), ("recall_pixels", 3)]
    rows = json.loads(rgan_fid(only_run(), "--json", "--sampling-seeds", 1, "--metrics", "frechet")[1])
    assert [set(row) for row in rows] == [{"path", "iteration", "score", "value", "protocol"}]
    _, out, _ = rgan_fid(only_run())
    assert "mean ± SD" in out.splitlines()[0]
    assert " ± " in out.splitlines()[1]
