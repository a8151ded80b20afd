"""The functions do what the commands do: values for printed text, exceptions for exit statuses."""

import json
import os
import shlex
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import hydra
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import rgan_bench
from rgan_bench.cli import fid as fid_command
from rgan_bench.cli import train as train_command
from rgan_bench.config.validate import config_dir
from rgan_bench.run import experiment
from tests.conftest import TINY


def test_a_run_is_the_command_s(run_command: Callable, capsys: pytest.CaptureFixture) -> None:
    result = rgan_bench.train(*TINY, "output_root=here", quiet=True)
    assert capsys.readouterr() == ("", "")
    run_command(train_command.main, *TINY, "output_root=there")

    theirs = json.loads((Path("there") / result.folder.name / "result.json").read_text())
    assert result.content["scores"] == theirs["scores"]
    assert result.scores == {"fd_pixels": theirs["scores"]["fd_pixels"]["final"]["value"]}
    assert (result.status, result.iteration) == ("finished", 4)
    assert [iteration for iteration, _ in result.history("fd_pixels")] == [0, 2, 4]
    assert [line["iteration"] for line in result.metrics()] == [1, 2, 3, 4]
    assert result.grid() == result.folder / "samples" / "iter_000004.png"
    assert result.generator().latent_dim == 128
    for name in ("config.yaml", "overrides.yaml", "hydra.yaml"):
        ours, beside = (Path(root) / result.folder.name / ".hydra" / name for root in ("here", "there"))
        assert len(OmegaConf.load(ours)) == len(OmegaConf.load(beside))
    again = shlex.split(result.content["command"])[1:]
    assert run_command(train_command.main, *again)[1].startswith(f"{result.folder}: already finished")


def test_a_finished_run_is_told_and_its_score_repeated(run_command: Callable) -> None:
    first = rgan_bench.train(*TINY, quiet=True)
    again = rgan_bench.train(*TINY)
    assert (again.status, again.scores, again.content) == ("finished", first.scores, first.content)
    # What the run scored two iterations earlier is known as well; one that it was not scored at is not.
    assert rgan_bench.train(*TINY, "train.iterations=2").scores["fd_pixels"] == first.history("fd_pixels")[1][1]
    with pytest.raises(rgan_bench.UserError, match=r"train.iterations=3: .* has come to 4 already.*output_root=PLACE"):
        rgan_bench.train(*TINY, "train.iterations=3")

    rows = rgan_bench.score(first.folder, quiet=True)
    assert {row["score"]: row["value"] for row in rows} == pytest.approx(first.scores, rel=1e-5)
    _, printed, _ = run_command(fid_command.main, first.folder, "--json")
    assert json.loads(printed) == rows
    assert rgan_bench.table("outputs", kind="sweep")._repr_markdown_().count("rasgan") > 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rgan_bench.train("loss=foo"), "loss=foo: there is no such option; one of: .*rasgan"),
        (lambda: rgan_bench.train("sweep=table1"), "sweep=table1: is a sweep of several runs .*add -m"),
        (lambda: rgan_bench.train("optim.lr=fast"), "optim.lr=fast: must be a number"),
        (lambda: rgan_bench.train(3), "3: not an override"),
        (lambda: rgan_bench.score(), "name what to score"),
        (lambda: rgan_bench.score("nowhere"), "nowhere: there is no such file or folder"),
        (lambda: rgan_bench.score("x", samples=3), "samples: no option of rgan-fid; one of: .*num_samples"),
        (lambda: rgan_bench.score("x", num_samples=1), "--num-samples 1: "),
        (lambda: rgan_bench.table("nowhere"), "nowhere: there is no such folder"),
        (lambda: rgan_bench.table(kind="table4"), "kind=table4: none of auto"),
    ],
)
def test_mistakes_raise_one_line(call: Callable, message: str) -> None:
    with pytest.raises(rgan_bench.UserError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
    assert not Path("outputs").exists()


def test_what_has_no_answer_raises_with_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(rgan_bench.Diverged, match=r"diverged at iteration 1: .*not finite") as diverged:
        rgan_bench.train(*TINY, "optim.lr=1e30", quiet=True)
    assert diverged.value.result.content["diverged"]["iteration"] == 1

    monkeypatch.setattr(experiment, "judge", lambda state, *rest: state.failed_scores.append(
        {"iteration": state.iteration, "reason": "no luck"}
    ))  # fmt: skip
    with pytest.raises(rgan_bench.NotScored, match="the score at iteration 4 failed: no luck") as failed:
        rgan_bench.train(*TINY, quiet=True)
    assert failed.value.result.status == "finished"


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_stop_is_saved_and_handed_on(number: int, raised: type, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = experiment.draw_grid

    def draw_and_stop(state, *rest):  # type: ignore[no-untyped-def]
        if state.iteration == 2:
            os.kill(os.getpid(), number)
        return draw(state, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(experiment, "draw_grid", draw_and_stop)
        with pytest.raises(raised):
            rgan_bench.train(*TINY, quiet=True)
    assert rgan_bench.train(*TINY, quiet=True).iteration == 4


def test_it_works_in_a_thread_and_inside_another_hydra_app(tmp_path: Path) -> None:
    found = []
    thread = threading.Thread(target=lambda: found.append(rgan_bench.train(*TINY, quiet=True)))
    thread.start()
    thread.join()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        assert rgan_bench.train(*TINY, quiet=True).scores == found[0].scores
        assert hydra.core.global_hydra.GlobalHydra.instance().is_initialized()
        assert compose("config").seed == 1


def test_importing_the_package_imports_no_torch() -> None:
    assert set(rgan_bench.__all__) >= {"train", "score", "table", "load_generator"}
    for name in rgan_bench.__all__:
        assert getattr(rgan_bench, name)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        rgan_bench.trian  # noqa: B018
