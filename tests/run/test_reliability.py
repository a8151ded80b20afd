"""Nothing lost, by whole runs: stopped or killed anywhere and called again, out of space, failing in parts."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from rgan_bench.cli import train as cli
from rgan_bench.config.schema import Config
from rgan_bench.errors import UserError
from rgan_bench.locks import is_held
from rgan_bench.run import experiment as module
from rgan_bench.run.experiment import run_experiment
from rgan_bench.scoring.scorer import Scorer
from scripts.crash_test import crash, differences
from scripts.fuzz import in_own_process
from tests.conftest import TINY

Tiny = Callable[..., Config]

# Cadences that fall on different iterations: with 9 iterations, every kind of neighbourhood occurs.
CADENCES = (
    "train.iterations=9",
    "train.log_every=2",
    "train.sample_every=3",
    "train.checkpoint_every=4",
    "fid.every=5",
)
SETUPS = {
    "rasgan with spectral norm": (),
    "wgangp, n_d 3": ("loss=wgangp", "optim.n_d=3"),
    "unstable, batch norm in D": ("experiment=table2_lr1e-3", "loss=hinge"),
    "dcgan, pac 2": ("data.image_size=64", "arch=dcgan64", "arch.pac=2", "train.batch_size=4"),
    "averaged, scheduled": (
        *("ema.half_life=30", "schedule.half_life.to=90", "schedule.half_life.end=20", "optim.lr_generator=1e-3"),
        *("schedule.lr.to=1e-5", "schedule.lr.end=7", "schedule.beta2.to=0.9", "schedule.beta2.start=2"),
        "schedule.beta2.end=6",
    ),
    "bfloat16": ("precision=bfloat16", "loss=rasgan_gp"),
}
STOPS = [*((iteration, "interrupt") for iteration in range(1, 9)), (3, "kill"), (7, "kill")]


class Killed(BaseException):
    """Ends a run within this process as SIGKILL ends a process: nothing more is written."""


def cut_at(iteration: int, how: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Has `how` happen once so many iterations are done."""
    original = module.train

    def train(state: object, *others: object) -> Iterator:
        for measured in original(state, *others):
            if state.iteration == iteration:
                how()
            yield measured

    monkeypatch.setattr(module, "train", train)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def kill() -> None:
    raise Killed


def folder_in(root: str) -> Path:
    (folder,) = [path for path in Path(root).iterdir() if path.name != "multirun"]
    return folder


def result_in(root: str) -> dict:
    return json.loads((folder_in(root) / "result.json").read_text())


@pytest.mark.parametrize("setup", SETUPS)
def test_a_run_that_stops_anywhere_ends_where_it_would_have_ended(
    setup: str, tiny_config: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped (and saved where it stands) after each iteration in turn, or killed (back to its last checkpoint)."""
    settings = (*SETUPS[setup], "arch.width=2", *CADENCES)
    run_experiment(tiny_config(*settings, "output_root=whole"))
    # Of the last setups some only: what they add is one more module, functions of the iteration, and another precision.
    for iteration, name in STOPS[1::4] if setup in ("averaged, scheduled", "bfloat16") else STOPS:
        how = {"interrupt": interrupt, "kill": kill}[name]
        config = tiny_config(*settings, f"output_root={how.__name__}_{iteration}")
        with monkeypatch.context() as patch:
            cut_at(iteration, how, patch)
            if how is kill:
                with pytest.raises(Killed):
                    run_experiment(config)
            else:
                assert run_experiment(config)["status"] == "interrupted"
        assert run_experiment(config)["status"] == "finished"
        assert differences(folder_in("whole"), folder_in(config.output_root)) == [], config.output_root


@pytest.mark.gpu
@pytest.mark.parametrize("setup", SETUPS)
def test_so_it_does_on_a_gpu_with_deterministic_algorithms(
    setup: str, tiny_config: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = (*SETUPS[setup], "arch.width=8", *CADENCES, "device=cuda", "deterministic=true")
    run_experiment(tiny_config(*settings, "output_root=whole"))
    for iteration in (3, 4, 6):
        config = tiny_config(*settings, f"output_root=stopped_{iteration}")
        with monkeypatch.context() as patch:
            cut_at(iteration, interrupt, patch)
            assert run_experiment(config)["status"] == "interrupted"
        assert run_experiment(config)["status"] == "finished"
        assert differences(folder_in("whole"), folder_in(config.output_root)) == []


def test_the_same_seed_gives_the_same_run_and_another_another(tiny_config: Tiny) -> None:
    for root, seed in (("one", 1), ("two", 1), ("other", 2)):
        run_experiment(tiny_config(f"seed={seed}", f"output_root={root}"))
    assert differences(folder_in("one"), folder_in("two")) == []
    found = differences(folder_in("one"), folder_in("other"))
    assert {"generator in last.pt", "scores in last.pt", "metrics.jsonl", "samples"} <= set(found)
    assert result_in("one")["versions"]["num_threads"] == torch.get_num_threads()


def test_sigkill_at_random_moments(tmp_path: Path) -> None:
    report = crash(tmp_path, kills=4)
    assert report.nothing_lost, report
    assert report.kills == 4
    assert report.checkpoints_read > 4


# --- stops ------------------------------------------------------------------------------------------------------------


def test_a_stop_breaks_off_a_score_which_is_then_done_by_the_next_run(
    tiny_config: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    config = tiny_config("output_root=cut")
    with monkeypatch.context() as patch:

        def endless(self: Scorer, *arguments: object) -> None:
            threading.Timer(0.1, interrupt).start()
            while True:
                time.sleep(0.01)

        patch.setattr(Scorer, "score", endless)
        started = time.monotonic()
        result = run_experiment(config)
        assert time.monotonic() - started < 5
    assert (result["status"], result["signal"], result["iteration"]) == ("interrupted", signal.SIGINT, 0)
    assert result["failed_scores"] == []
    run_experiment(config)
    run_experiment(tiny_config("output_root=whole"))
    assert differences(folder_in("whole"), folder_in("cut")) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_every_stop_signal_saves(number: int, tiny_config: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_at(3, lambda: os.kill(os.getpid(), number), monkeypatch)
    result = run_experiment(tiny_config("train.checkpoint_every=null"))
    assert (result["signal"], result["iteration"]) == (number, 3)
    assert torch.load(folder_in("outputs") / "checkpoints" / "last.pt")["iteration"] == 3


def test_a_signal_is_handed_on_once_the_run_is_saved_and_its_folder_free(
    tiny_config: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As submitit needs it, which listens to SIGUSR2 and requeues its job."""
    seen = []

    def requeue(number: int, frame: object) -> None:
        folder = folder_in("outputs")
        saved = torch.load(folder / "checkpoints" / "last.pt")["iteration"]
        seen.append((saved, result_in("outputs")["status"], is_held(folder / ".lock")))
        raise SystemExit(255)

    before = signal.signal(signal.SIGUSR2, requeue)
    cut_at(3, lambda: os.kill(os.getpid(), signal.SIGUSR2), monkeypatch)
    try:
        with pytest.raises(SystemExit):
            run_experiment(tiny_config("train.checkpoint_every=null"))
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert seen == [(3, "interrupted", False)]


@pytest.mark.usefixtures("heard_signals")
def test_a_second_interrupt_leaves_at_once_and_nothing_is_damaged(
    tiny_config: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    def twice() -> None:
        interrupt()
        interrupt()

    config = tiny_config("train.iterations=9")
    with monkeypatch.context() as patch:
        cut_at(5, twice, patch)
        with pytest.raises(KeyboardInterrupt):
            run_experiment(config)
    assert (result_in("outputs")["status"], result_in("outputs")["iteration"]) == ("interrupted", 4)
    assert run_experiment(config)["status"] == "finished"
    run_experiment(tiny_config("train.iterations=9", "output_root=whole"))
    assert differences(folder_in("whole"), folder_in("outputs")) == []


# --- no space, no permission ------------------------------------------------------------------------------------------


def test_no_space_is_one_clear_error_and_the_earlier_checkpoint_stays_good(tiny_config: Tiny) -> None:
    """With the kernel's limit on the size of files: half a checkpoint is above it."""
    run_experiment(tiny_config("train.iterations=9", "output_root=whole"))
    run_experiment(tiny_config("train.iterations=4"))
    checkpoints = folder_in("outputs") / "checkpoints"
    size = (checkpoints / "last.pt").stat().st_size
    before = {path.name: path.read_bytes() for path in checkpoints.iterdir()}
    command = [sys.executable, "-c", "from rgan_bench.cli.train import main; main()", *TINY, "train.iterations=9"]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))

    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    error = next(line for line in done.stderr.splitlines() if line.startswith("rgan-train: error: "))
    assert re.search(r"checkpoints: cannot save iteration 6 \(.*\); free some space and call the same command", error)
    assert {path.name: path.read_bytes() for path in checkpoints.iterdir()} == before
    assert result_in("outputs")["status"] == "failed"
    assert result_in("outputs")["iteration"] == 4
    run_experiment(tiny_config("train.iterations=9"))
    assert differences(folder_in("whole"), folder_in("outputs")) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_refused(tiny_config: Tiny) -> None:
    Path("outputs").mkdir(mode=0o500)
    with pytest.raises(UserError, match="cannot write the run folder"):
        run_experiment(tiny_config())


def test_an_output_root_that_is_a_file_is_refused(tiny_config: Tiny) -> None:
    Path("outputs").write_text("")
    with pytest.raises(UserError, match=r"output_root=outputs: cannot write the run folder"):
        run_experiment(tiny_config())


# --- damaged checkpoints ----------------------------------------------------------------------------------------------

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "zeroed": lambda content: bytes(len(content)),
    "zeroed in part": lambda content: content[:20_000] + bytes(4096) + content[24_096:],
    "garbage": lambda content: bytes(range(256)) * (len(content) // 256),
    "a bit of a tensor": lambda content: content[:30_000] + bytes([content[30_000] ^ 1]) + content[30_001:],
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(
    name: str, tiny_config: Tiny, capsys: pytest.CaptureFixture
) -> None:
    run_experiment(tiny_config("train.iterations=8", "fid.every=null", "output_root=whole"))
    run_experiment(tiny_config("train.iterations=6", "fid.every=null"))
    folder = folder_in("outputs") / "checkpoints"
    last = folder / "last.pt"
    damaged = DAMAGES[name](last.read_bytes())
    assert damaged != last.read_bytes()
    last.write_bytes(damaged)
    capsys.readouterr()
    run_experiment(tiny_config("train.iterations=8", "fid.every=null"))
    out, err = capsys.readouterr()
    assert re.search(
        r"last\.pt: cannot be read as a checkpoint .*set aside as last\.pt\.damaged, going on from prev", err
    )
    assert "from iteration 4 to iteration 8" in out
    assert (folder / "last.pt.damaged").read_bytes() == damaged
    assert differences(folder_in("whole"), folder_in("outputs")) == []


def test_where_every_checkpoint_is_damaged_nothing_is_overwritten(tiny_config: Tiny) -> None:
    run_experiment(tiny_config())
    folder = folder_in("outputs") / "checkpoints"
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:100])
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UserError, match=r"last\.pt: cannot be read .*so are 3 others; move outputs.* away") as refusal:
        run_experiment(tiny_config("train.iterations=6"))
    assert "\n" not in str(refusal.value)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


# --- parts that are not the training ----------------------------------------------------------------------------------


def test_a_sample_that_cannot_be_written_is_said_once_and_training_goes_on(
    tiny_config: Tiny, capsys: pytest.CaptureFixture
) -> None:
    run_experiment(tiny_config("output_root=whole", "train.iterations=6"))
    samples = Path("outputs") / folder_in("whole").name / "samples"
    for iteration in (2, 4):
        (samples / f"iter_{iteration:06d}.png").mkdir(parents=True)  # a folder where the file should go
    capsys.readouterr()
    assert run_experiment(tiny_config("train.iterations=6"))["status"] == "finished"
    assert capsys.readouterr().err.count("warning: drawing a sample grid: failed") == 1
    for iteration in (2, 4):
        (samples / f"iter_{iteration:06d}.png").rmdir()
        (folder_in("whole") / "samples" / f"iter_{iteration:06d}.png").unlink()
    assert differences(folder_in("whole"), folder_in("outputs")) == []


def test_a_metrics_file_that_cannot_be_written_is_said_once(tiny_config: Tiny, capsys: pytest.CaptureFixture) -> None:
    class Stubborn(module.RunFolder):
        def append_metrics(self, entry: dict) -> None:
            raise OSError("the disk says no")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "RunFolder", Stubborn)
        assert run_experiment(tiny_config())["status"] == "finished"
    assert capsys.readouterr().err.count("warning: writing metrics.jsonl: failed (the disk says no)") == 1


def test_a_score_that_fails_is_recorded_with_its_reason(
    tiny_config: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    original, calls = Scorer.score, []

    def sometimes(self: Scorer, *arguments: object) -> dict[str, float]:
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("out of\nmemory")
        return original(self, *arguments)

    monkeypatch.setattr(Scorer, "score", sometimes)
    result = run_experiment(tiny_config())
    assert result["status"] == "finished"
    assert result["failed_scores"] == [{"iteration": 2, "reason": "out of memory"}]
    assert [iteration for iteration, _ in result["scores"]["fd_pixels"]["history"]] == [0, 4]
    assert "warning: the score at iteration 2 failed (out of memory); training goes on" in capsys.readouterr().err


# --- divergence and collapse ------------------------------------------------------------------------------------------

DIVERGING = (*TINY, "loss=lsgan", "arch.spectral_norm=false", "optim.lr=1e20", "train.iterations=8")


def test_divergence_can_be_gone_through(run_command: Callable) -> None:
    status, _, err = run_command(cli.main, *DIVERGING, "train.on_divergence=continue")
    assert status == cli.EXIT_DIVERGED
    result = result_in("outputs")
    assert (result["status"], result["iteration"]) == ("diverged", 8)
    first = result["diverged"]
    assert first["iteration"] < 8
    assert f"diverged at iteration {first['iteration']}: {first['not_finite'][0]}" in err
    assert [failed["iteration"] for failed in result["failed_scores"]][-1] == 8
    assert "not finite: " in result["failed_scores"][-1]["reason"]


def test_divergence_between_logged_iterations_is_seen_in_the_weights(run_command: Callable) -> None:
    status, _, _ = run_command(cli.main, *DIVERGING, "train.log_every=8", "train.sample_every=null", "fid.every=null")
    assert status == cli.EXIT_DIVERGED
    assert "weights/discriminator" in result_in("outputs")["diverged"]["not_finite"]


def test_variation_is_measured_with_each_grid(tiny_config: Tiny) -> None:
    result = run_experiment(tiny_config())
    lines = [json.loads(line) for line in (folder_in("outputs") / "metrics.jsonl").read_text().splitlines()]
    measured = {line["iteration"]: line["grid/pixel_sd"] for line in lines if "grid/pixel_sd" in line}
    assert list(measured) == [2, 4]
    assert result["diversity"]["pixel_sd"] == measured[4]
    assert 0.1 < result["diversity"]["real_pixel_sd"] < 0.5


# --- hostile input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("target", "count"), [("images", 150), ("checkpoints", 60), ("commands", 60), ("results", 40)])
def test_random_damage(target: str, count: int) -> None:
    report = in_own_process(target, count, seed=7)
    assert report["wrong"] == []
    assert report["refused"] > count / 4


@pytest.mark.parametrize("name", ["data.name=../../x", "loss.name=../../x", "loss.name=/x", "arch.name=../x"])
def test_names_cannot_lead_out_of_the_output_root(name: str, run_command: Callable) -> None:
    status, _, err = run_command(cli.main, *TINY, name)
    assert status == 2
    assert err.startswith(f"rgan-train: error: {name}")
    assert not list(Path().iterdir())


@pytest.mark.parametrize("argument", ["hydra.run.dir=x", "hydra.output_subdir=../x", "++hydra.run.dir=x"])
def test_hydras_own_folders_are_not_made(argument: str, run_command: Callable) -> None:
    status, _, err = run_command(cli.main, *TINY, argument)
    assert status == 2
    assert "has no effect here; " in err
    assert not list(Path().iterdir())
