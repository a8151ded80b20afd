"""One run on several devices, from the command: here processes that compute on the CPU."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.conftest import TINY

ROOT = Path(__file__).resolve().parent.parent.parent
SETTINGS = (*TINY, "train.iterations=8", "ema.half_life=50", "fid.num_samples=230", "deterministic=true")
LONG = (*SETTINGS, "train.iterations=100000", "fid.every=null", "train.sample_every=null", "train.checkpoint_every=20")


def rgan_train(*overrides: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "rgan_bench", *overrides],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def done(*overrides: str) -> tuple[int, str, str]:
    process = rgan_train(*overrides)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def only_run(root: str) -> Path:
    (folder,) = Path(root).iterdir()
    return folder


def assert_same(one: str, two: str) -> None:
    """Weights and scores, as far as float32 goes: Adam makes a whole step of a gradient near zero too."""
    contents = [torch.load(only_run(root) / "checkpoints" / "last.pt", weights_only=True) for root in (one, two)]
    for part in ("generator", "generator_ema", "discriminator"):
        for key, wanted in contents[0][part].items():
            torch.testing.assert_close(contents[1][part][key], wanted, rtol=1e-3, atol=1e-3)
    scores = [json.loads((only_run(root) / "result.json").read_text())["scores"] for root in (one, two)]
    assert set(scores[0]) == set(scores[1])
    for name, score in scores[0].items():
        assert [value for _, value in scores[1][name]["history"]] == pytest.approx(
            [value for _, value in score["history"]], rel=1e-4
        )


def processes_below(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        fields = stat.read_text().rpartition(")")[2].split()
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return found


def wait_until(happened: object, process: subprocess.Popen[str]) -> None:
    for _ in range(600):
        if happened():  # type: ignore[operator]
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    raise AssertionError("it never happened")


def test_a_run_on_two_devices_is_the_run_on_one_and_goes_on_as_such() -> None:
    assert done(*SETTINGS, "output_root=one")[0] == 0
    status, out, err = done(*SETTINGS, "output_root=both", "devices=2", "train.iterations=4")
    assert status == 0, err
    assert "on 2 devices" in out
    assert out.count("run folder") == 1  # one speaks for all
    assert done(*SETTINGS, "output_root=both", "train.iterations=6")[0] == 0
    assert done(*SETTINGS, "output_root=both", "devices=2")[0] == 0
    assert only_run("one").name == only_run("both").name
    assert_same("one", "both")
    status, out, _ = done(*SETTINGS, "output_root=both", "devices=2")
    assert status == 0
    assert "already finished" in out


def test_a_stop_is_agreed_and_saved() -> None:
    process = rgan_train(*LONG, "devices=2")
    wait_until(lambda: Path("outputs").exists() and (only_run("outputs") / "checkpoints" / "last.pt").exists(), process)
    (other,) = processes_below(process.pid)
    os.kill(other, signal.SIGTERM)  # one of them is enough
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "stopped; saved in" in err
    result = json.loads((only_run("outputs") / "result.json").read_text())
    saved = torch.load(only_run("outputs") / "checkpoints" / "last.pt", weights_only=True)
    assert result["status"] == "interrupted"
    assert result["iteration"] == saved["iteration"]


def test_a_rank_that_dies_ends_the_others_and_costs_no_more_than_the_last_checkpoint() -> None:
    process = rgan_train(*LONG, "devices=2")
    wait_until(lambda: Path("outputs").exists() and (only_run("outputs") / "checkpoints" / "last.pt").exists(), process)
    (other,) = processes_below(process.pid)
    os.kill(other, signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "devices=2: another rank has ended" in err
    assert err.count("rgan-train: error") == 1
    assert "Traceback" not in err

    process = rgan_train(*LONG, "devices=2")
    first = json.loads((only_run("outputs") / "result.json").read_text())["iteration"]
    wait_until(
        lambda: (
            json.loads((only_run("outputs") / "result.json").read_text())["status"] == "running"
            and len(processes_below(process.pid)) == 1
            and torch.load(only_run("outputs") / "checkpoints" / "last.pt", weights_only=True)["iteration"] > first
        ),
        process,
    )
    (other,) = processes_below(process.pid)
    process.kill()
    process.wait()
    process.communicate()
    for _ in range(300):
        if not Path(f"/proc/{other}").exists():
            break
        time.sleep(0.1)
    else:
        raise AssertionError("the other rank lives on")


def test_torchrun_starts_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1"),
        *("--master-port=0", "--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0", "-m", "rgan_bench", *SETTINGS),
    ]
    run = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("finished at iteration 8") == 1


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("devices=3",), "train.batch_size=8: cannot be shared out evenly among devices=3"),
        (("devices=0",), "devices=0: must be at least 1"),
        (("devices=2", "device=cuda:0"), "device=cuda:0: is one device, and devices=2"),
    ],
)
def test_refusals(overrides: tuple[str, ...], message: str) -> None:
    status, _, err = done(*TINY, *overrides)
    assert status == 2
    assert message in err
    assert not Path("outputs").exists()
