"""A run whose averaged generator is sampled and scored beside the one that is trained."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from rgan_bench.cli import train as cli
from rgan_bench.config.schema import Config
from rgan_bench.errors import UserError
from rgan_bench.run.experiment import Experiment, run_experiment
from rgan_bench.run.judge import judge
from rgan_bench.run.record import scored_at
from rgan_bench.run.standing import answer
from rgan_bench.scoring.scorer import Scorer
from rgan_bench.sweeps.outcomes import Sweep
from scripts.crash_test import same
from tests.conftest import TINY

Tiny = Callable[..., Config]
NAMES = ["fd_pixels", "fd_pixels_ema"]
# What differs between any two runs, and what must differ between one with the average and one without.
TIMES = ("wall_seconds", "training_seconds", "scored_at", "iterations_per_second", "config", "identity")


def folder_in(root: str) -> Path:
    (folder,) = [path for path in Path(root).iterdir() if path.name != "multirun"]
    return folder


def test_the_average_adds_to_a_run_and_changes_nothing_in_it(tiny_config: Tiny) -> None:
    without = run_experiment(tiny_config("output_root=without"))
    averaged = run_experiment(tiny_config("ema.half_life=30", "output_root=averaged"))
    assert list(averaged["scores"]) == list(averaged["protocol"]) == NAMES
    histories = [averaged["scores"][name]["history"] for name in NAMES]
    assert [iteration for iteration, _ in histories[1]] == [0, 2, 4]
    assert histories[0][0] == histories[1][0]  # untrained, the two are one, and so are their latents
    assert histories[0][1:] != histories[1][1:]
    one, two = (averaged["protocol"][name] for name in NAMES)
    assert two == one | {"generator": "ema", "fingerprint": two["fingerprint"]}
    assert one["fingerprint"] != two["fingerprint"]
    for part in ("scores", "protocol"):
        del averaged[part]["fd_pixels_ema"]
    assert {k: v for k, v in averaged.items() if k not in TIMES} == {k: v for k, v in without.items() if k not in TIMES}
    assert averaged["identity"] == without["identity"] | {"ema.half_life": 30.0}

    raw, both = folder_in("without"), folder_in("averaged")
    saved, beside = (torch.load(folder / "checkpoints" / "last.pt") for folder in (raw, both))
    assert beside.keys() - saved.keys() == {"generator_ema"}
    for part in ("generator", "discriminator", "generator_optimizer", "discriminator_optimizer"):
        assert same(saved[part], beside[part])
    assert saved["scores"] == [history for history in beside["scores"] if "generator" not in history["protocol"]]
    assert not (raw / "samples_ema").exists()
    names = ["iter_000000.png", "iter_000002.png", "iter_000004.png"]
    assert sorted(path.name for path in (both / "samples_ema").iterdir()) == names
    for name in names:
        assert (both / "samples" / name).read_bytes() == (raw / "samples" / name).read_bytes()
    for name in names[1:]:
        assert (both / "samples_ema" / name).read_bytes() != (both / "samples" / name).read_bytes()
    assert (both / "samples_ema" / names[0]).read_bytes() == (both / "samples" / names[0]).read_bytes()


def spoilt(experiment: Experiment, which: str) -> None:
    with torch.no_grad():
        experiment.state.generators()[which].project.weight[0, 0] = float("nan")


@pytest.mark.parametrize(("which", "other"), [("raw", "ema"), ("ema", "raw")])
def test_one_that_is_not_finite_does_not_cost_the_other(which: str, other: str, tiny_config: Tiny) -> None:
    said: list[str] = []
    experiment = Experiment(tiny_config("ema.half_life=30"))
    spoilt(experiment, which)
    experiment.check_finite({})
    name = "weights/generator" + "_ema" * (which == "ema")
    assert experiment.not_finite == [name]
    assert experiment.state.diverged == {"iteration": 0, "not_finite": [name]}
    names = dict(zip(("raw", "ema"), NAMES, strict=True))
    for not_finite, reason in (([name], f"not finite: {name}"), ([], "the generator's weights")):
        experiment.state.scores.clear()
        scores = judge(experiment.state, experiment.parts.scorer, 1, not_finite, said.append)
        assert list(scores) == [names[other]]
        (failed,) = experiment.state.failed_scores
        assert failed["reason"].startswith("the average: " * (which == "ema") + reason)
    assert len(said) == 2


@pytest.mark.parametrize("failing", [0, 1])
def test_what_failed_is_scored_by_the_next_call_alone(
    failing: int, tiny_config: Tiny, run_command: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = Scorer.score, []

    def fails_at_the_end(self: Scorer, *arguments: object) -> dict[str, float]:
        calls.append(arguments[2])
        if len(calls) == 5 + failing:
            raise RuntimeError("out of memory")
        return original(self, *arguments)

    monkeypatch.setattr(Scorer, "score", fails_at_the_end)
    rgan_train = partial(run_command, cli.main, *TINY, "ema.half_life=30")
    status, _, err = rgan_train()
    assert status == cli.EXIT_NOT_SCORED
    assert f"the score at iteration 4 failed: {'the average: ' * failing}out of memory; the same command" in err
    assert rgan_train()[0] == 0
    assert calls == ["raw", "ema"] * 3 + [["raw", "ema"][failing]]
    result = json.loads((folder_in("outputs") / "result.json").read_text())
    assert result["failed_scores"] == []
    for name in NAMES:
        assert [iteration for iteration, _ in result["scores"][name]["history"]] == [0, 2, 4]
    status, out, _ = rgan_train()
    assert (status, len(calls)) == (0, 7)
    assert "already finished at 4" in out
    assert all(f"\n{name} " in out for name in NAMES)
    assert "samples_ema/iter_000004.png" in out


def test_a_run_answers_only_with_the_scores_of_all_its_generators(tiny_config: Tiny) -> None:
    config = tiny_config("ema.half_life=30")
    experiment = Experiment(config)
    result = run_experiment(config)
    folder = experiment.folder
    assert list(answer(folder, config).scores) == NAMES
    for name in NAMES:
        part = {key: {n: v for n, v in result[key].items() if n != name} for key in ("scores", "protocol")}
        folder.write_result(result | part)
        assert answer(folder, config) is None
    config.ema.half_life = 0.0  # a run without one needs no more than before
    folder.write_result(result | part)
    assert list(answer(folder, config).scores) == ["fd_pixels"]


def test_in_a_sweep_s_table_they_have_columns_of_their_own(run_command: Callable) -> None:
    status, out, _ = run_command(cli.main, "-m", *TINY, "train.iterations=2", "ema.half_life=0,30")
    assert status == 0
    one, two = Sweep(max((Path("outputs") / "multirun").iterdir())).outcomes()
    assert list(one.scores) == ["fd_pixels"]
    assert list(two.scores) == NAMES
    assert one.scores["fd_pixels"] == two.scores["fd_pixels"] != two.scores["fd_pixels_ema"]
    (header,) = [line for line in out.splitlines() if line.startswith("cell ") and "iteration" in line]
    assert header.split() == ["cell", "status", "iteration", *NAMES, "run", "folder"]


def test_few_images_give_the_average_a_kernel_distance_too(tiny_config: Tiny) -> None:
    result = run_experiment(tiny_config("ema.half_life=30", "fid.num_samples=100", "train.iterations=1"))
    assert list(result["scores"]) == ["fd_pixels", "kd_pixels", "fd_pixels_ema", "kd_pixels_ema"]


def test_an_average_that_was_damaged_is_no_place_to_go_on_from(tiny_config: Tiny) -> None:
    config = tiny_config("ema.half_life=30", "train.iterations=2", "fid.every=null")
    run_experiment(config)
    path = folder_in("outputs") / "checkpoints" / "last.pt"
    content = torch.load(path)
    content["generator_ema"]["project.weight"] = torch.zeros(2)
    torch.save(content, path)
    config.train.iterations = 4
    with pytest.raises(UserError, match=r"last\.pt: does not fit this run \(.*project\.weight") as refusal:
        run_experiment(config)
    assert "\n" not in str(refusal.value)


def test_leftovers_are_cleared_there_too(tiny_config: Tiny) -> None:
    config = tiny_config("ema.half_life=30", "train.iterations=2", "fid.every=null")
    run_experiment(config)
    left = folder_in("outputs") / "samples_ema" / ".iter_000002.png.1-x.tmp"
    left.touch()
    config.train.iterations = 3
    run_experiment(config)
    assert not left.exists()


def test_what_had_been_spent_at_each_score_is_told_and_outlasts_a_resume(tiny_config: Tiny) -> None:
    settings = ("optim.n_d=3", "arch.pac=2", "output_root=spent")
    run_experiment(tiny_config(*settings))
    first = run_experiment(tiny_config(*settings, "train.iterations=6"))["scored_at"]
    assert [(at["iteration"], at["discriminator_steps"], at["images"]) for at in first] == [
        (0, 0, 0), (2, 6, 96), (4, 12, 192), (6, 18, 288),
    ]  # fmt: skip
    seconds = [at["training_seconds"] for at in first]
    assert seconds[0] == 0
    assert seconds == sorted(seconds)
    assert len(set(seconds)) == 4
    experiment = Experiment(tiny_config(*settings, "train.iterations=6"))
    experiment.resume()
    experiment.state.score_seconds = experiment.state.score_seconds[2:]  # as if earlier ones were by an earlier version
    assert [at["training_seconds"] for at in scored_at(experiment.config, experiment.state)] == [
        None,
        None,
        *seconds[2:],
    ]
