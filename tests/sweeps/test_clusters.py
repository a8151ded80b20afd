"""Sweeps on clusters, without one: `scripts/cluster_test.sh` has the real thing."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from rgan_bench.cli import train as cli
from rgan_bench.config.validate import config_dir
from rgan_bench.locks import Busy, held
from rgan_bench.sweeps import jobs, launchers, on_ray, side_by_side, slurm
from rgan_bench.sweeps.jobs import Job
from rgan_bench.sweeps.outcomes import Outcome, Sweep
from rgan_bench.training.devices import resolve_device
from tests.conftest import TINY

FAST = [*TINY, "train.iterations=2", "train.sample_every=null", "train.checkpoint_every=null", "fid.every=100"]


@pytest.fixture
def rgan_train(run_command: Callable[..., tuple[int, str, str]]) -> Callable[..., tuple[int, str, str]]:
    return partial(run_command, cli.main)


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts a command of Slurm's, which prints a text, on a PATH where there is nothing else."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    def put(name: str, text: str) -> None:
        path = tmp_path / "bin" / name
        path.write_text(f'#!/bin/sh\necho "{text}"\n')
        path.chmod(0o755)

    return put


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Sweep, list[Job]]:
    """A sweep of three cells in jobs 12_0 to 12_2, looked at without pauses."""
    monkeypatch.setattr(jobs, "SOONEST", 0)
    monkeypatch.setattr(jobs, "LATEST", 0)
    monkeypatch.setattr(jobs, "FILES_TAKE", 0)
    sweep = Sweep(tmp_path / "multirun" / "first")
    sweep.folder.mkdir(parents=True)
    sweep.start([f"seed={seed}" for seed in range(3)], [f"outputs/{seed}" for seed in range(3)])
    runs = jobs.run_folders(sweep)
    sent = [Job(seed, f"12_{seed}", [f"seed={seed}"], runs[seed], str(sweep.folder), seed) for seed in range(3)]
    jobs.remember(sweep, sent)
    return sweep, sent


def script(sweep: Sweep) -> str:
    return f"{sweep.folder}/.submitit/submission_file_0.sh"


# --- what Slurm says --------------------------------------------------------------------------------------------------


def test_what_slurm_says_of_jobs(commands: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    assert slurm.queue() is None  # no Slurm here
    commands("squeue", "12_0|RUNNING|None|/a|b.sh\n12_3|PENDING|BeginTime|/c.sh")
    assert slurm.queue() == {
        "12_0": slurm.Queued("RUNNING", "None", "/a|b.sh"),
        "12_3": slurm.Queued("PENDING", "BeginTime", "/c.sh"),
    }
    monkeypatch.setenv("SLURM_JOB_ID", "13")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    for state, preempted, leaves in (("RUNNING", "2026-01-01T10:00:00", True), ("CANCELLED", "None", False)):
        commands("scontrol", f"JobId=13 JobState={state} Reason=None PreemptTime={preempted}")
        assert (slurm.ended_as("12_3"), slurm.being_preempted()) == (state, leaves)
        assert slurm.requeue_if_preempted("12_3") == leaves


def test_a_cell_that_is_preempted_asks_to_be_requeued_and_any_other_leaves_as_not_complete(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR2, lambda number, frame: heard.append(number))
    try:
        for preempted in (False, True):
            monkeypatch.setattr(launchers, "being_preempted", lambda preempted=preempted: preempted)
            with pytest.raises(SystemExit, match="143"):
                launchers.leave_the_job("hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher", 143)
            assert heard == [signal.SIGUSR2] * preempted
    finally:
        signal.signal(signal.SIGUSR2, before)
    launchers.leave_the_job("hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher", 143)


def test_side_by_side_each_cell_has_its_share_of_the_cores_unless_threads_are_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    core = pytest.importorskip("hydra_plugins.hydra_joblib_launcher._core", reason="the extra `joblib`")
    joblib = sys.modules["joblib"]

    def threads(cells: int) -> set[str | None]:
        """As the environment of the cells' processes says, of which there may be four."""
        ask = [joblib.delayed(os.getenv)(f"{name}_NUM_THREADS") for name in ("OMP", "MKL")]
        monkeypatch.setattr(core, "launch", lambda launcher, *jobs: joblib.Parallel(**launcher.joblib)(ask))
        config = SimpleNamespace(hydra=SimpleNamespace(sweep=SimpleNamespace(dir="sweep")))
        launcher = SimpleNamespace(joblib={"n_jobs": 4, "backend": "loky"}, config=config)
        return set(side_by_side.launch(launcher, [[]] * cells, 0))

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "1")  # what is set here does not outlive the test
    monkeypatch.delenv("MKL_NUM_THREADS")
    cores = joblib.cpu_count()
    assert [threads(cells) for cells in (2, 9)] == [{str(max(1, cores // at_once))} for at_once in (2, 4)]
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads(2) == {"3"}
    joblib.externals.loky.get_reusable_executor().shutdown()


def test_auto_in_a_job_without_a_gpu_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto").type == "cpu"
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("SLURM_JOB_ID", "13")
    assert resolve_device("auto").type == "cpu"
    assert "warning: device=auto: Slurm's job 13 has no GPU" in capsys.readouterr().err


# --- following, and finding again -------------------------------------------------------------------------------------


def test_jobs_are_followed_through_requeues_to_their_ends(
    three: tuple[Sweep, list[Job]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    sweep, sent = three
    sweep.begin(0, "seed=0")
    sweep.begin(1, "seed=1")
    sweep.record(Outcome("interrupted", number=1))  # and requeued
    monkeypatch.setattr(slurm, "ended_as", lambda job: {"12_0": "OUT_OF_MEMORY", "12_2": "CANCELLED"}[job])
    preempted = ["12_2"]  # while it started, and could not save or ask for more
    monkeypatch.setattr(slurm, "requeue_if_preempted", lambda job: job in preempted and not preempted.remove(job))

    def finish() -> dict[str, str]:
        sweep.record(Outcome("finished", scores={"fid": 1.5}, number=1))
        return {}

    looks = iter(
        [
            lambda: {"12_0": "RUNNING", "12_1": "RUNNING", "12_2": "PENDING"},
            lambda: None,  # a controller that does not answer ends nothing
            lambda: {"12_0": "RUNNING", "12_1": "PENDING"},
            lambda: {"12_1": "RUNNING", "12_2": "PENDING"},
            finish,
        ]
    )
    jobs.follow(sweep, sent, lambda: next(looks)(), on_slurm=True)
    assert [outcome.status for outcome in sweep.outcomes()] == ["killed", "finished", "not started"]
    assert "job 12_0 ended as OUT_OF_MEMORY; its log: " in sweep.outcomes()[0].reason
    told = capsys.readouterr().out.splitlines()
    assert [line for line in told if line.startswith("cell 2")] == [
        f"cell 2 (job 12_1): {state}" for state in ("RUNNING", "PENDING", "RUNNING", "finished, fid 1.5")
    ]
    assert any(line.startswith("cell 1 (job 12_0): killed (job 12_0 ended as OUT_OF_MEMORY") for line in told)


def test_the_same_cells_are_found_in_their_jobs_and_told_in_the_new_sweep(
    three: tuple[Sweep, list[Job]], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, sent = three
    again = Sweep(first.folder.parent / "second")
    again.folder.mkdir()
    again.start(["seed=2", "seed=0", "seed=1", "seed=7"], [f"outputs/{seed}" for seed in (2, 0, 1, 7)])
    cells = {number: [f"seed={seed}"] for number, seed in enumerate((2, 0, 1, 7))}
    queue = {
        "12_2": slurm.Queued("RUNNING", "", script(first)),
        "12_1": slurm.Queued("RUNNING", "", "/other/.submitit/of_another_controller.sh"),
    }
    monkeypatch.setattr(slurm, "queue", lambda: queue)
    found = jobs.find(again, cells)
    assert found == [replace(sent[2], number=0)]
    first.record(Outcome("finished", number=2, overrides="seed=2"))
    jobs.follow(again, found, dict, on_slurm=True)
    assert again.recorded() == {0: Outcome("finished", number=0, overrides="seed=2")}
    cells[0].append("fid.every=null")  # not what that job does
    assert jobs.find(again, cells) == []


def test_a_sweep_folder_with_jobs_of_other_cells_is_refused(
    three: tuple[Sweep, list[Job]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, _ = three
    monkeypatch.setattr(launchers, "queue", lambda: {"12_1": slurm.Queued("PENDING", "", script(sweep))})
    launchers.refuse_jobs_of_others(sweep, sweep.cells())
    with pytest.raises(launchers.UserError, match=r"job 12_1 of other cells still run.*scancel 12_1"):
        launchers.refuse_jobs_of_others(sweep, ["seed=0"])


def test_cells_on_ray_are_told_one_by_one_and_one_that_is_lost_costs_no_other(
    three: tuple[Sweep, list[Job]], capsys: pytest.CaptureFixture
) -> None:
    class RayError(Exception):
        pass

    def get(task: str) -> JobReturn:
        if task == "lost":
            raise RayError
        sweep.record(Outcome("finished", number=2, overrides="seed=2"))
        return back

    sweep, _ = three
    sweep.begin(0, "seed=0")
    back = JobReturn(status=JobStatus.COMPLETED)
    # The last task hangs, and is no longer waited for when cells had time to save.
    ray = SimpleNamespace(
        exceptions=SimpleNamespace(RayError=RayError),
        get=get,
        wait=lambda left, timeout: (left[:1], left[1:]) if left[0] != "hangs" else ([], left),
    )
    returned = on_ray.await_all(ray, {"lost": 0, "good": 2, "hangs": 1}, sweep, seconds=0)
    assert returned[1] is back
    assert [each.return_value for each in returned] == [None, None, None]  # nothing raises
    assert [outcome.status for outcome in sweep.outcomes()] == ["killed", "not started", "finished"]
    told = capsys.readouterr().out.splitlines()
    assert told == ["cell 1 (seed=0): RayError", "cell 3 (seed=2): finished"]


# --- whole sweeps -----------------------------------------------------------------------------------------------------


def test_a_launcher_that_gives_up_after_cells_have_run_leaves_a_table(
    rgan_train: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As joblib's does when a worker is killed: the first cell ran, the second was at it, the third never came."""
    # Hydra imports its plugins once more: this class is not the one that an import gives.
    basic = Plugins.instance().class_name_to_class["hydra._internal.core_plugins.basic_launcher.BasicLauncher"]
    real = basic.launch

    def launch(self: Launcher, job_overrides: list, initial_job_idx: int) -> None:
        real(self, job_overrides[:1], initial_job_idx)
        Sweep(Path(self.config.hydra.sweep.dir)).begin(1, "loss=lsgan")
        raise RuntimeError("a worker was killed")

    monkeypatch.setattr(basic, "launch", launch)
    status, out, err = rgan_train("-m", *FAST, "loss=sgan,lsgan,hinge")
    assert status == 1
    assert [line.split()[1] for line in out.splitlines()[-6:-3]] == ["finished", "killed", "not"]
    assert "1 of 3 cells are finished" in out
    assert "rgan-train: error: the sweep broke off: RuntimeError: a worker was killed" in err


@pytest.mark.parametrize("launcher", ["slurm", "ray"])
def test_a_launcher_that_is_not_installed_is_one_line(
    launcher: str, rgan_train: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes = Plugins.instance().class_name_to_class  # and so all of them have been found
    monkeypatch.delitem(classes, "hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher", raising=False)
    options = ConfigStore.instance().repo["hydra"]["launcher"]
    monkeypatch.delitem(options, "submitit_slurm.yaml", raising=False)
    status, out, err = rgan_train("-m", *FAST, "loss=sgan,lsgan", f"hydra/launcher={launcher}")
    assert (status, out) == (2, "")
    assert f"installed; pip install 'rgan-bench[{launcher}]'" in err
    assert err.count("\n") == 1
    assert not Path("outputs").exists()


def test_the_preset_of_slurm_requeues_jobs_whose_time_is_up() -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="the extra `slurm` is not installed")
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        whole = compose("config", ["hydra/launcher=slurm", "hydra.launcher.partition=gpu"], return_hydra_config=True)
    launcher = whole.hydra.launcher
    assert launcher._target_.endswith("SlurmLauncher")
    assert (launcher.partition, launcher.gpus_per_node, launcher.max_num_timeout) == ("gpu", 1, 100)


@pytest.mark.slow
def test_a_cell_of_submitit_that_is_killed_costs_no_other() -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="the extra `slurm` is not installed")
    Path("deadly.py").write_text(
        "import os, signal\n\nfrom rgan_bench.register import function\n\n\n@function('deadly')\n"
        "def deadly(logits, real):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    functions = ["loss.function=deadly,standard", "loss.name=mine", "plugins=[deadly.py]"]
    arguments = [*FAST, *functions, "loss=sgan", "hydra/launcher=submitit_local"]
    command = [sys.executable, "-m", "rgan_bench", "-m", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    (sweep,) = map(Sweep, Path("outputs", "multirun").iterdir())
    assert [outcome.status for outcome in sweep.outcomes()] == ["killed", "finished"]
    assert "1 of 2 cells are finished" in done.stdout


# --- locks ------------------------------------------------------------------------------------------------------------


def test_a_holder_on_another_machine_is_waited_for_and_then_named(tmp_path: Path) -> None:
    path, said = tmp_path / ".lock", []
    with path.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        other.write(f"process 7 on {socket.gethostname()}, job 12_3")
        other.flush()
        with pytest.raises(Busy, match="job 12_3"), held(path, said.append, patience=60):
            pass  # it is on this machine, where a lock tells the truth
        assert said == []
        other.seek(0)
        other.write("process 7 on another, job 12_3                        ")
        other.flush()
        with pytest.raises(Busy, match="process 7 on another, job 12_3"), held(path, said.append, patience=0.1):
            pass
        assert "held by process 7 on another, job 12_3; waiting" in said[0]
        threading.Timer(0.5, lambda: fcntl.flock(other, fcntl.LOCK_UN)).start()
        with held(path, patience=60):
            assert path.read_text().startswith(f"process {os.getpid()} on {socket.gethostname()}")


def test_a_lock_names_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "13")
    with held(tmp_path / ".lock"):
        assert (tmp_path / ".lock").read_text().endswith(", job 13\n")
