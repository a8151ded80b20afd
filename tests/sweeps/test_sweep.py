"""Presets against a table written once more, and sweeps: what runs, what is skipped, what is told."""

import itertools
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from rgan_bench.cli import train as cli
from rgan_bench.config.schema import Config
from rgan_bench.config.validate import config_dir, validate
from rgan_bench.console import duration
from rgan_bench.errors import UserError
from rgan_bench.locks import Busy, held
from rgan_bench.run import experiment
from rgan_bench.run.standing import Answer
from rgan_bench.sweeps.outcomes import Outcome, Sweep, exit_status
from rgan_bench.sweeps.plan import differences, expand
from tests.conftest import TINY

# --- the cells of the paper, written independently of the YAML --------------------------------------------------------

LOSSES = {
    # name: comparison, function, penalty
    "sgan": ("none", "standard", "none"),
    "rsgan": ("pair", "standard", "none"),
    "rasgan": ("average", "standard", "none"),
    "lsgan": ("none", "least_squares", "none"),
    "ralsgan": ("average", "least_squares", "none"),
    "hinge": ("none", "hinge", "none"),
    "rahinge": ("average", "hinge", "none"),
    "wgangp": ("none", "wasserstein", "gp"),
    "rsgan_gp": ("pair", "standard", "gp"),
    "rasgan_gp": ("average", "standard", "gp"),
    "spectral_sgan": ("none", "standard", "none"),
}
EIGHT = ["sgan", "rsgan", "rasgan", "lsgan", "ralsgan", "hinge", "rahinge", "wgangp"]
TEN = [*EIGHT, "rsgan_gp", "rasgan_gp"]
CIFAR = {"data": "cifar10", "arch": "cnn32", "width": 64, "pac": 1, "batch": 32, "fakes": 50_000}
STABLE = CIFAR | {"sn": True, "bn": "generator", "act": "default", "lr": 2e-4, "betas": [0.5, 0.999], "n_d": 1}
UNSTABLE = STABLE | {"sn": False, "bn": "both", "lr": 1e-4}
CAT = STABLE | {"sn": False, "bn": "both", "every": 10_000}
CELLS = {
    "table1": {
        ("table1_stable", tuple(TEN)): STABLE,
        ("table1_wgangp", tuple(TEN)): STABLE | {"lr": 1e-4, "betas": [0.5, 0.9], "n_d": 5},
    },
    "table2": {
        ("table2_lr1e-3", tuple(EIGHT)): UNSTABLE | {"lr": 1e-3},
        ("table2_betas0.9", tuple(EIGHT)): UNSTABLE | {"betas": [0.9, 0.9]},
        ("table2_no_bn", tuple(EIGHT)): UNSTABLE | {"bn": "none"},
        ("table2_tanh", tuple(EIGHT)): UNSTABLE | {"act": "tanh"},
    },
    "table3_cat64": {
        ("cat64", ("sgan", "lsgan")): CAT | {"data": "cat64", "arch": "dcgan64", "fakes": 10_000, "batch": 64},
        ("cat64", ("rsgan", "rasgan", "ralsgan", "hinge", "rahinge", "rsgan_gp", "rasgan_gp")): CAT
        | {"data": "cat64", "arch": "dcgan64", "fakes": 10_000},
    },
    "table3_cat128": {
        ("cat128", ("sgan", "rasgan", "lsgan", "ralsgan")): CAT
        | {"data": "cat128", "arch": "dcgan128", "fakes": 10_000}
    },
    "table3_cat256": {
        ("cat256", ("sgan", "rasgan", "lsgan", "ralsgan", "wgangp")): CAT
        | {"data": "cat256", "arch": "dcgan256", "width": 32, "pac": 2, "fakes": 2_000},
        ("cat256", ("spectral_sgan",)): CAT
        | {"data": "cat256", "arch": "dcgan256", "width": 32, "pac": 2, "fakes": 2_000, "sn": True},
    },
}
ALL_CELLS = [
    (sweep, name, loss, wanted)
    for sweep, groups in CELLS.items()
    for (name, losses), wanted in groups.items()
    for loss in losses
]


def test_there_are_as_many_cells_as_in_the_paper() -> None:
    counts = {sweep: sum(cell[0] == sweep for cell in ALL_CELLS) for sweep in CELLS}
    assert counts == {"table1": 20, "table2": 32, "table3_cat64": 9, "table3_cat128": 4, "table3_cat256": 6}


@pytest.mark.parametrize(
    ("sweep", "name", "loss", "wanted"), ALL_CELLS, ids=[f"{name}-{loss}" for _, name, loss, _ in ALL_CELLS]
)
def test_every_cell_is_the_paper_s(
    sweep: str, name: str, loss: str, wanted: dict, compose_config: Callable[..., Config]
) -> None:
    config = compose_config(f"experiment={name}", f"loss={loss}")
    assert (config.loss.name, config.loss.generator) == (loss, "non_saturating")
    assert (config.loss.comparison, config.loss.function, config.loss.penalty) == LOSSES[loss]
    assert config.loss.penalty_weight == 10
    found = {
        "data": config.data.name,
        "arch": config.arch.name,
        "width": config.arch.width,
        "pac": config.arch.pac,
        "batch": config.train.batch_size,
        "fakes": config.fid.num_samples,
        "sn": config.arch.spectral_norm,
        "bn": config.arch.batch_norm,
        "act": config.arch.activation,
        "lr": config.optim.lr,
        "betas": config.optim.betas,
        "n_d": config.optim.n_d,
    }
    if "every" in wanted:
        found["every"] = config.fid.every
    assert found == wanted
    assert (config.train.iterations, config.seed, config.arch.latent_dim) == (100_000, 1, 128)
    assert (config.fid.features, config.fid.num_real, config.fid.batch_norm) == (["inception"], None, "batch")


@pytest.mark.parametrize("sweep", CELLS)
def test_sweeps_run_exactly_these_cells(sweep: str) -> None:
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config = compose("config", overrides=[f"sweep={sweep}"], return_hydra_config=True)
    parameters = config.hydra.sweeper.params
    found = set(itertools.product(parameters.experiment.split(","), parameters.loss.split(",")))
    assert found == {(name, loss) for each, name, loss, _ in ALL_CELLS if each == sweep}


def test_what_is_swept_stays_overridable() -> None:
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config = compose("config", overrides=["sweep=table2"], return_hydra_config=True)
    OmegaConf.update(config, "hydra.overrides.task", ["sweep=table2", "loss=sgan,wgangp", "seed=1,2", "arch.width=8"])
    cells = expand(config)
    assert len(cells) == 4 * 2 * 2
    assert differences(config, cells)[0] == ["experiment=table2_lr1e-3", "loss=sgan", "seed=1"]


def test_spectral_sgan_without_spectral_norm_is_refused(compose_config: Callable[..., Config]) -> None:
    with pytest.raises(UserError, match=r"loss\.name=spectral_sgan: .* set arch\.spectral_norm=true"):
        compose_config("experiment=cat64", "loss=spectral_sgan")
    assert compose_config("experiment=cat64", "loss=spectral_sgan", "arch.spectral_norm=true")


# --- sweeps -----------------------------------------------------------------------------------------------------------

FAST = [*TINY, "train.iterations=2", "train.sample_every=null", "train.checkpoint_every=null", "fid.every=100"]


@pytest.fixture
def rgan_train(run_command: Callable[..., tuple[int, str, str]]) -> Callable[..., tuple[int, str, str]]:
    return partial(run_command, cli.main)


def last_sweep() -> Sweep:
    return Sweep(max((Path("outputs") / "multirun").iterdir()))


def results() -> dict[str, dict]:
    found = [json.loads(path.read_text()) for path in Path("outputs").glob("*/result.json")]
    return {result["config"]["loss"]["name"]: result for result in found}


def test_a_sweep_says_where_it_stands_and_ends_with_a_table(rgan_train: Callable) -> None:
    status, out, _ = rgan_train("-m", *FAST, "loss=sgan,lsgan,hinge")
    assert status == 0
    assert "cell 1 of 3: loss=sgan\n" in out
    assert re.search(r"cell 2 of 3 \(about .* left\): loss=lsgan\n", out)
    table = out.splitlines()[-5:]
    assert table[0].split() == ["cell", "status", "iteration", "fd_pixels", "run", "folder"]
    assert [line.split()[:3] for line in table[1:4]] == [
        [f"loss={loss}", "finished", "2"] for loss in ("sgan", "lsgan", "hinge")
    ]
    for line, loss in zip(table[1:4], ("sgan", "lsgan", "hinge"), strict=True):
        assert Path(line.split()[-1]).is_dir()
        assert line.split()[3] == f"{results()[loss]['scores']['fd_pixels']['final']['value']:.4g}"
    assert table[4] == "3 of 3 cells are finished"


def test_the_same_sweep_again_runs_only_what_is_missing(rgan_train: Callable) -> None:
    rgan_train("-m", *FAST, "loss=sgan,lsgan")
    before = {path: path.stat().st_mtime_ns for path in Path("outputs").glob("*/*.json")}
    status, out, _ = rgan_train("-m", *FAST, "loss=sgan,lsgan,hinge")
    assert status == 0
    assert [outcome.status for outcome in last_sweep().outcomes()] == ["already finished"] * 2 + ["finished"]
    assert all(path.stat().st_mtime_ns == written for path, written in before.items())
    assert out.count("already finished at 2; more train.iterations would train on") == 2


def test_finished_cells_are_skipped_without_torch(rgan_train: Callable) -> None:
    rgan_train("-m", *FAST, "loss=sgan,lsgan")
    code = (
        "import sys; from rgan_bench.cli import train\n"
        "try: train.main()\nexcept SystemExit as leaving: print(leaving.code, 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, "-m", *FAST, "loss=sgan,lsgan"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.endswith("2 of 2 cells are finished\n0 False\n")


def test_one_bad_cell_does_not_stop_the_others(rgan_train: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """One fails by a bug, one is refused, one diverges; the last still runs."""
    real = experiment.train

    def train(state: object, data: object, config: Config, *others: object) -> object:
        if config.loss.name == "sgan":
            raise RuntimeError("the device is on fire")
        return real(state, data, config, *others)

    monkeypatch.setattr(experiment, "train", train)
    status, out, _ = rgan_train("-m", *FAST, "loss=sgan,hinge", "optim.lr=2e-4,-1")
    assert status == 1
    outcomes = last_sweep().outcomes()
    assert [outcome.status for outcome in outcomes] == ["failed", "refused", "finished", "refused"]
    assert outcomes[0].reason == "RuntimeError: the device is on fire"
    assert "optim.lr=-1.0: must be a number above 0" in outcomes[1].reason
    assert "1 of 4 cells are finished\n" in out
    assert "not finished: loss=sgan optim.lr=0.0002: failed (RuntimeError: the device is on fire)" in out
    assert results()["sgan"]["status"] == "failed"
    assert results()["sgan"]["failure"] == "RuntimeError: the device is on fire"
    monkeypatch.setattr(experiment, "train", real)
    assert rgan_train("-m", *FAST, "loss=sgan,hinge")[0] == 0  # a broken one runs again
    assert [outcome.status for outcome in last_sweep().outcomes()] == ["finished", "already finished"]


def test_a_cell_that_diverges_is_told_with_its_iteration(rgan_train: Callable) -> None:
    diverging = ["arch.spectral_norm=false", "optim.lr=1e20", "train.iterations=40"]
    status, out, _ = rgan_train("-m", *FAST, *diverging, "loss=lsgan,wgangp", "loss.function=least_squares,hinge")
    assert status == 1
    assert re.search(r"not finished: loss=lsgan .*: diverged \(at iteration \d+: loss/", out)


SWEEP = [sys.executable, "-c", "from rgan_bench.cli.train import main; main()", "-m"]
SLOW = [*TINY, "train.iterations=60", "train.sample_every=null", "train.checkpoint_every=20", "fid.every=100"]


def iterations_logged(loss: str) -> list[int]:
    (path,) = Path("outputs").glob(f"demo_cnn32_{loss}_*/metrics.jsonl")
    return [json.loads(line)["iteration"] for line in path.read_text().splitlines()]


def wait_for(file: str, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while not list(Path("outputs").glob(file)):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_killed_sweep_goes_on_where_it_was() -> None:
    process = subprocess.Popen(
        [*SWEEP, *SLOW, "loss=sgan,lsgan,hinge"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for("demo_cnn32_lsgan_*/checkpoints/iter_000040.pt", process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = subprocess.run([*SWEEP, *SLOW, "loss=sgan,lsgan,hinge"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, second, third = last_sweep().outcomes()
    assert (first.status, second.status, third.status) == ("already finished", "finished", "finished")
    assert re.search(r"from iteration (20|40) to iteration 60", done.stdout)
    for loss in ("sgan", "lsgan", "hinge"):
        assert iterations_logged(loss) == list(range(1, 61))


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_two_sweeps_at_once_never_run_a_cell_twice(launcher: str) -> None:
    arguments = [*SLOW, "loss=sgan,lsgan,hinge"]
    if launcher == "joblib":
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="the extra `joblib` is not installed")
        arguments += ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    sweeps = [["hydra.sweep.dir=one"], ["hydra.sweep.dir=two"]]
    processes = [
        subprocess.Popen([*SWEEP, *arguments, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for more in sweeps
    ]
    texts = [process.communicate(timeout=240) for process in processes]
    statuses = [[outcome.status for outcome in Sweep(Path(name)).outcomes()] for name in ("one", "two")]
    allowed = {"finished", "already finished", "running elsewhere"}
    assert set(statuses[0]) | set(statuses[1]) <= allowed, (statuses, texts)
    for cell in zip(*statuses, strict=True):
        assert cell.count("finished") == 1, statuses
    for loss in ("sgan", "lsgan", "hinge"):
        assert iterations_logged(loss) == list(range(1, 61))


def test_an_interrupted_sweep_starts_no_further_cell() -> None:
    process = subprocess.Popen(
        [*SWEEP, *SLOW, "train.iterations=100000", "loss=sgan,lsgan"], stdout=subprocess.PIPE, text=True
    )
    try:
        wait_for("demo_cnn32_sgan_*/checkpoints/iter_000020.pt", process)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert [outcome.status for outcome in last_sweep().outcomes()] == ["interrupted", "not started"]
    assert "0 of 2 cells are finished" in out
    assert not list(Path("outputs").glob("demo_cnn32_lsgan_*"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_cells_side_by_side_save_and_stop_with_the_process_that_waits_for_them(number: int) -> None:
    """Where that is killed, they notice, and none of their processes stays."""
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="the extra `joblib` is not installed")
    side_by_side = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "train.iterations=100000", "train.keep=null"]
    process = subprocess.Popen(
        [*SWEEP, *SLOW, *side_by_side, "loss=sgan,lsgan,hinge"], stdout=subprocess.PIPE, text=True
    )
    try:
        for loss in ("sgan", "lsgan"):
            wait_for(f"demo_cnn32_{loss}_*/checkpoints/iter_000020.pt", process)
        process.send_signal(number)
        out, _ = process.communicate(timeout=120)  # until the last process that could write has gone
    finally:
        process.kill()
    assert process.returncode == (138 if number == signal.SIGTERM else -number)
    assert [outcome.status for outcome in last_sweep().outcomes()] == ["interrupted", "interrupted", "not started"]
    assert ("0 of 3 cells are finished" in out) == (number == signal.SIGTERM)


# --- parts ------------------------------------------------------------------------------------------------------------


def test_one_holder_a_lock_and_it_goes_with_the_process(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    code = "import sys, time; from pathlib import Path; from rgan_bench.locks import held\n"
    code += "with held(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(Busy, match=rf"process {other.pid} on "), held(path):
            pass
        other.kill()
        other.wait()
        with held(path):  # a dead process blocks nobody
            assert path.read_text().startswith("process ")


def test_a_run_that_another_process_finished_in_the_meantime_is_left_alone(
    rgan_train: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looked unfinished when this process began to get ready, and was finished when it got the lock."""
    rgan_train(*TINY)
    (folder,) = Path("outputs").iterdir()
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.*") if path.is_file() and path.name != ".lock"}
    real, calls = cli.answer, []

    def too_early(*arguments: object) -> Answer | None:
        calls.append(arguments)
        return None if len(calls) == 1 else real(*arguments)

    monkeypatch.setattr(cli, "answer", too_early)
    status, out, _ = rgan_train(*TINY)
    assert status == 0
    assert "already finished at 4" in out
    assert {
        path: path.stat().st_mtime_ns for path in folder.rglob("*.*") if path.is_file() and path.name != ".lock"
    } == before


def test_a_second_process_on_a_run_says_who_holds_it(rgan_train: Callable) -> None:
    rgan_train(*TINY)
    (folder,) = Path("outputs").iterdir()
    code = "import sys, time; from pathlib import Path; from rgan_bench.locks import held\n"
    code += "with held(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder / ".lock")], stdout=subprocess.PIPE, text=True
    ) as other:
        other.stdout.readline()
        status, _, err = rgan_train(*TINY, "train.iterations=6")
        assert status == 2
        assert re.match(rf"rgan-train: error: {folder} is held by process {other.pid} on .*; wait for it", err)
        other.kill()


def test_exit_statuses() -> None:
    def status(*names: str) -> int:
        return exit_status([Outcome(name, exit_status=143 if name == "interrupted" else 1) for name in names])

    assert status("finished", "already finished") == 0
    assert status("finished", "diverged") == 1
    assert status("running elsewhere") == 1
    assert status("interrupted", "not started") == 143


def test_durations_are_told_roughly() -> None:
    assert [duration(s) for s in (5, 89, 600, 7200, 400_000)] == ["5 s", "89 s", "10 min", "2 h", "5 d"]


def test_every_sweep_composes_with_validation() -> None:
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        for sweep in CELLS:
            validate(compose("config", overrides=[f"sweep={sweep}"]))
