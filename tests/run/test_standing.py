"""Which score a run answers with: under which protocol, and after which iteration."""

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from rgan_bench.cli import train as cli
from rgan_bench.scoring.scorer import Scorer
from rgan_bench.sweeps.outcomes import Outcome, Sweep
from tests.conftest import TINY
from tests.data.test_data import write_images

# The settings of the report that these faults came with, less some images.
SETTINGS = [*TINY, "train.iterations=9", "train.checkpoint_every=4", "fid.every=5", "train.sample_every=null"]


class Killed(BaseException):
    """Ends a run within this process as SIGKILL ends a process."""


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def rgan_train(run_command: Run) -> Run:
    return partial(run_command, cli.main)


def only_run() -> Path:
    (folder,) = [path for path in Path("outputs").iterdir() if path.name != "multirun"]
    return folder


def result() -> dict:
    return json.loads((only_run() / "result.json").read_text())


def outcomes() -> list[Outcome]:
    return Sweep(max((Path("outputs") / "multirun").iterdir())).outcomes()


def stop_at(iteration: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.run.test_reliability import cut_at, interrupt

    cut_at(iteration, interrupt, monkeypatch)


# --- sweeps over what is not in the identity --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "swept", ["fid.batch_norm=batch,running", "fid.num_samples=193,200", "fid.features=pixels,efficientnet-lite0"]
)
def test_what_differs_in_scoring_alone_is_trained_once_and_scored_as_each_says(rgan_train: Run, swept: str) -> None:
    for statuses in (["finished", "finished"], ["already finished", "already finished"]):
        assert rgan_train("-m", *SETTINGS, swept)[0] == 0
        one, two = outcomes()
        assert [one.status, two.status] == statuses
        assert one.folder == two.folder == str(only_run())
        assert one.scores != two.scores  # each its own, not the other's under its label
        assert one.scores
        assert two.scores
    alone = []
    for value in swept.split("=")[1].split(","):
        rgan_train(*SETTINGS, f"{swept.split('=')[0]}={value}", f"output_root=alone_{value}")
        (path,) = Path(f"alone_{value}").glob("*/result.json")
        scores = json.loads(path.read_text())["scores"]
        alone.append({name: score["final"]["value"] for name, score in scores.items()})
    assert [{name.split()[0]: value for name, value in each.scores.items()} for each in (one, two)] == alone


@pytest.mark.parametrize(
    ("swept", "why"),
    [
        ("train.iterations=10,20", "train.iterations=10 and 20"),
        ("accelerate=none,auto", "accelerate=none and auto"),
        ("optim.lr=1e-4,0.0001", "equal"),
        ("loss=sgan,lsgan,sgan", "equal"),
        ("fid.num_samples=200,210,210", "equal"),
    ],
)
def test_cells_that_would_train_one_run_twice_are_refused_before_the_first(
    rgan_train: Run, swept: str, why: str
) -> None:
    status, out, err = rgan_train("-m", *SETTINGS, swept)
    assert status == 2
    assert out == ""
    assert re.match(
        rf"rgan-train: error: cells [12] and \d of the sweep \({why}\) would train the same run, outputs/", err
    )
    assert "sweep what changes its weights" in err
    assert err.count("\n") == 1
    assert not Path("outputs").exists() or not list(Path("outputs").glob("demo*"))


def test_side_by_side_one_cell_waits_for_the_other_that_trains_its_run(rgan_train: Run) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="the extra `joblib` is not installed")
    arguments = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "fid.num_samples=200,210"]
    status, _, _ = rgan_train("-m", *SETTINGS, *arguments)
    assert [outcome.status for outcome in outcomes()] == ["finished", "finished"]
    assert status == 0


def test_a_finished_run_scores_what_it_was_not_asked_before(rgan_train: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    rgan_train(*SETTINGS)
    before = result()["scores"]["fd_pixels"]
    status, _, _ = rgan_train(*SETTINGS, "fid.num_samples=210")
    assert status == 0
    assert result()["scores"]["fd_pixels"]["history"][-1][0] == 9
    assert result()["scores"]["fd_pixels"]["final"] != before["final"]
    (other,) = result()["scores_under_other_protocols"]
    assert other["final"] == before["final"]
    monkeypatch.setattr(Scorer, "score", None)  # both are known now
    assert "already finished at 9" in rgan_train(*SETTINGS)[1]
    assert "already finished at 9" in rgan_train(*SETTINGS, "fid.num_samples=210")[1]
    assert "already finished at 9" in rgan_train(*SETTINGS, "fid.every=null")[1]


# --- a score stands under the iteration that it was made at -----------------------------------------------------------


def test_a_run_asked_for_less_than_it_has_done_answers_from_its_history_or_not_at_all(
    rgan_train: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_at(6, patch)
        assert rgan_train(*SETTINGS)[0] == 130
    for remedy in ("rgan-fid outputs/.*iter_000004.pt", "no checkpoint of then"):  # stopped at 6, then finished at 9
        status, out, err = rgan_train(*SETTINGS, "train.iterations=4")
        assert status == 2
        assert out == ""
        assert re.match(r"rgan-train: error: train\.iterations=4: the run in .* has come to [69] already", err)
        assert re.search(remedy, err)
        status, out, _ = rgan_train(*SETTINGS, "train.iterations=5")
        assert status == 0
        at_5 = dict(map(tuple, result()["scores"]["fd_pixels"]["history"]))[5]
        assert re.search(rf"already past 5, at [69]; fd_pixels {at_5:.4g} then", out)
        assert rgan_train(*SETTINGS)[0] == 0
    rgan_train("-m", *SETTINGS, "train.iterations=5", "seed=1")
    (outcome,) = outcomes()
    assert (outcome.iteration, outcome.scores) == (5, {"fd_pixels": at_5})


# --- scores that fail -------------------------------------------------------------------------------------------------


def test_a_final_score_that_failed_is_made_by_the_next_call(rgan_train: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Scorer.score

    def fails_at_the_end(self: Scorer, *arguments: object) -> dict[str, float]:
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("out of memory")
        return original(self, *arguments)

    calls: list[int] = []
    monkeypatch.setattr(Scorer, "score", fails_at_the_end)
    status, _, err = rgan_train(*SETTINGS)
    assert status == cli.EXIT_NOT_SCORED
    assert "the score at iteration 9 failed: out of memory; the same command scores again" in err
    assert result()["status"] == "finished"
    assert rgan_train(*SETTINGS)[0] == 0
    assert result()["failed_scores"] == []
    assert result()["scores"]["fd_pixels"]["final"]["iteration"] == 9
    calls.clear()
    assert rgan_train("-m", *SETTINGS, "seed=2")[0] == 1
    (outcome,) = outcomes()
    assert (outcome.status, outcome.reason) == ("not scored", "the score at iteration 9 failed: out of memory")


def test_weights_that_are_not_finite_are_never_scored(rgan_train: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped at 4 and called again, such a run was scored 58.19 and counted as finished."""
    broken = [*SETTINGS, "loss=lsgan", "arch.spectral_norm=false", "optim.lr=1e20", "fid.every=2"]
    broken += ["train.on_divergence=continue"]
    with monkeypatch.context() as patch:
        stop_at(4, patch)
        assert rgan_train(*broken)[0] == 130
    for _ in range(2):
        assert rgan_train(*broken)[0] == cli.EXIT_DIVERGED
        assert result()["status"] == "diverged"
        assert [iteration for iteration, _ in result()["scores"]["fd_pixels"]["history"]] == [0]
        assert [failed["iteration"] for failed in result()["failed_scores"]][-1] == 9


# --- what is gone, or other than it was -------------------------------------------------------------------------------


def test_a_run_without_its_checkpoints_says_so(rgan_train: Run) -> None:
    rgan_train(*SETTINGS)
    for path in (only_run() / "checkpoints").iterdir():
        path.unlink()
    before = (only_run() / "result.json").read_bytes()
    status, out, err = rgan_train(*SETTINGS, "fid.num_samples=210")
    assert (status, out) == (2, "")
    assert "has come to iteration 9, and its checkpoints are gone: it cannot be scored otherwise than it was" in err
    assert (only_run() / "result.json").read_bytes() == before
    status, _, err = rgan_train(*SETTINGS, "train.iterations=12")
    assert status == 0
    assert "warning: " in err
    assert "has come to iteration 9, and there is no checkpoint of it; it starts at 0 again" in err


def test_killed_between_its_last_score_and_its_last_save_a_run_starts_again(
    rgan_train: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """result.json then tells of the last iteration, and no checkpoint is there: no finished run has lost it."""
    arguments = [*SETTINGS, "train.checkpoint_every=null"]
    with monkeypatch.context() as patch:
        patch.setattr("rgan_bench.run.keeper.Keeper.save", lambda *arguments, **more: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            rgan_train(*arguments)
    assert (result()["status"], result()["iteration"]) == ("running", 9)
    status, _, err = rgan_train(*arguments)
    assert status == 0
    assert "there is no checkpoint of it; it starts at 0 again" in err
    assert result()["status"] == "finished"


def test_a_finished_run_whose_images_changed_says_so(rgan_train: Run) -> None:
    write_images(Path("images"), 12)
    folder = [each for each in SETTINGS if not each.startswith("data")] + ["data=folder", "data.root=images"]
    assert rgan_train(*folder)[0] == 0
    assert "already finished at 9" in rgan_train(*folder)[1]
    (path,) = Path("images").rglob("0.png")
    path.touch()  # the same images: looked at once more, and found to be so
    status, out, _ = rgan_train(*folder)
    assert status == 0
    assert "already finished" not in out
    assert "already finished at 9" in rgan_train(*folder)[1]
    path.unlink()
    status, _, err = rgan_train(*folder)
    assert status == 2
    assert "was trained on other images than images now holds" in err


# --- the sweep's own folder -------------------------------------------------------------------------------------------


def test_a_stopped_sweep_in_a_folder_of_its_own_name_runs_when_called_again(
    rgan_train: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["-m", *SETTINGS, "hydra.sweep.dir=mine", "seed=1,2"]
    with monkeypatch.context() as patch:
        stop_at(3, patch)
        assert rgan_train(*arguments)[0] == 130
    assert [outcome.status for outcome in Sweep(Path("mine")).outcomes()] == ["interrupted", "not started"]
    assert rgan_train(*arguments)[0] == 0
    assert [outcome.status for outcome in Sweep(Path("mine")).outcomes()] == ["finished", "finished"]


def test_sweeps_of_one_moment_have_folders_of_their_own_and_one_folder_is_one_sweeps(rgan_train: Run) -> None:
    from rgan_bench.locks import held

    rgan_train("-m", *SETTINGS, "train.iterations=1", "seed=1")
    rgan_train("-m", *SETTINGS, "train.iterations=1", "seed=1")
    assert len(list((Path("outputs") / "multirun").iterdir())) == 2
    Path("mine").mkdir()
    with held(Path("mine") / ".lock"):
        status, _, err = rgan_train("-m", *SETTINGS, "hydra.sweep.dir=mine", "seed=1,2")
    assert status == 2
    assert re.match(r"rgan-train: error: hydra\.sweep\.dir=mine: another sweep uses it \(process \d+ on ", err)
