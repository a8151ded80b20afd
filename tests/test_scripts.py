"""The benchmark scripts run and print what they promise. What they measure is not looked at: a test times nothing."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rgan_bench import register
from tests.data.test_data import write_images

ROOT = Path(__file__).resolve().parent.parent


def run(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, cwd=ROOT, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_bench_train(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    text = run(
        "scripts.bench_train", "arch.width=2", "--batch", "4", "--loss", "rsgan_gp", "--rounds", "2",
        "--seconds", "0.2", "--workers", "0", "--device", "cpu", "--json", str(file), "--beside", "precision=bfloat16",
        "--beside", "layout=contiguous benchmark_limit=0",
    )  # fmt: skip
    assert "GFLOP an iteration, matrix rate" in text
    assert "(d) precision=bfloat16 " in text
    report = json.loads(file.read_text())
    beside = ["precision=bfloat16", "layout=contiguous benchmark_limit=0"]
    assert list(report["rows"]) == ["reference", "plain", "ships", *beside]
    assert list(report["matrix_rates"]) == ["float32", "bfloat16"]
    assert report["rows"]["reference"]["ratio"] == 1
    for row in report["rows"].values():
        assert 0 < row["slowest"] <= row["iterations_per_second"] <= row["fastest"]
        assert 0 < row["of_floor"] < 1
        assert row["peak_memory"] > 1e8


def test_bench_train_refuses_what_rgan_train_refuses() -> None:
    for arguments, text in (
        (("--loss", "nosuch"), "loss/nosuch"),
        (("arch.width=0",), "arch.width=0: must be at"),
        (("--arch", "r3gan32", "--beside", "layout=last"), "layout=last: must be channels_last or contiguous"),
    ):
        command = [sys.executable, "-m", "scripts.bench_train", "--device", "cpu", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert text in done.stderr


def test_gpu_check_stops_at_a_wheel_that_cannot_be_installed(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "gpu_check.sh", tmp_path / "scripts")
    (tmp_path / "wheelhouse").mkdir()
    (tmp_path / "wheelhouse" / "broken-1.0-py3-none-any.whl").write_text("half a download")
    command = ["bash", str(tmp_path / "scripts" / "gpu_check.sh"), str(tmp_path / "out")]
    environment = os.environ | {"PYTHON": sys.executable, "RGAN_CHECK_BUDGET": "0"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 2
    assert "broken" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"scripts", "wheelhouse"}


def test_bench_fid(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    arguments = ["--features", "pixels", "--fakes", "300", "--real", "250", "--rounds", "1", "--json", str(file)]
    assert "scores differ by" in run("scripts.bench_fid", *arguments)
    report = json.loads(file.read_text())
    assert len(report["rows"]) == 4
    assert report["relative_difference"] < 1e-3
    assert report["rows"]["rgan-fid, cold"]["score"] > 1
    shares = report["rows"]["rgan-fid, real statistics cached"]["shares"]
    assert next(iter(shares)) == "inside the extractor"
    assert all(share > 0 for share in shares.values())


def test_score_ladder(tmp_path: Path) -> None:
    write_images(tmp_path, 20)
    rows = run("scripts.score_ladder", str(tmp_path), "--count", "10").splitlines()
    assert len({row.count("|") for row in rows}) == 1
    assert [row.split()[1] for row in rows[2:]] == [
        *("fd_pixels", "kd_pixels", "precision_pixels", "recall_pixels", "density_pixels", "coverage_pixels"),
        "mind_pixels",
    ]


def test_bench_length() -> None:
    text = run(
        "scripts.bench_length", "--early", "40", "--late", "120", "--rounds", "2", "--against", "2",
        "arch.width=2", "train.batch_size=4",
    )  # fmt: skip
    assert all(word in text for word in ("late to it", "early 2"))
    assert "resident MB" in text


def test_bench_penalties() -> None:
    text = run("scripts.bench_penalties", "arch.width=2", "--batch", "4", "--rounds", "1", "--iterations", "1")
    rows = [line.split() for line in text.splitlines()[2:]]
    assert {*register.names("penalty")} <= {row[0] for row in rows}
    assert next(row for row in rows if row[0] == "none")[2:] == ["1.00"] * 3


def test_simulate_tables() -> None:
    text = run("scripts.simulate_tables", "--tables", "2", "--seeds", "3,6")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| 6 seeds, paired, r = 0.5, normal")]
    assert [len(row) for row in rows] == [7, 7, 2]
    assert all(text.strip(" |").endswith(("%", ")")) for row in rows for text in row[1:])


def test_simulate_search() -> None:
    rows = run("scripts.simulate_search", "--searches", "2").splitlines()
    assert len({row.count("|") for row in rows}) == 1
    assert len(rows) == 2 + 2 * (4 + 5 + 6)


@pytest.fixture
def mps(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """scripts/mps.sh beside an nvidia-cuda-mps-control that keeps in files whether it runs, and for whom."""

    def run(*arguments: str) -> tuple[int, str]:
        environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
        done = subprocess.run(
            [ROOT / "scripts" / "mps.sh", *arguments], capture_output=True, text=True, env=environment, timeout=60
        )
        return done.returncode, done.stdout + done.stderr

    assert "there is no nvidia-cuda-mps-control, which comes with" in run("start")[1]
    control = tmp_path / "nvidia-cuda-mps-control"
    control.write_text(
        f"#!/bin/sh\ncd {tmp_path}\n"
        "[ $# -eq 1 ] && { touch control; exit; }\n"
        "[ -e control ] || { echo Cannot find MPS control daemon process; exit 1; }\n"
        "read asked\n"
        "case $asked in get_server_list) echo 12 ;; 'get_client_list 12') cat clients ;; quit) rm control ;; esac\n"
    )
    control.chmod(0o755)
    return run


def test_mps_is_started_asked_and_stopped_but_not_under_runs(mps: Callable, tmp_path: Path) -> None:
    (tmp_path / "clients").touch()
    assert mps("status") == (1, "NVIDIA MPS does not run (/tmp/nvidia-mps)\n")
    assert mps("stop")[0] == 2
    assert mps("start") == (0, "NVIDIA MPS runs (/tmp/nvidia-mps)\n")
    assert mps("start") == (0, "NVIDIA MPS runs already (/tmp/nvidia-mps)\n")
    (tmp_path / "clients").write_text("7\n8\n")
    assert "processes that use it: 7 8\n" in mps("status")[1]
    assert mps("stop")[1].startswith("mps.sh: error: processes 7 8 use NVIDIA MPS; stop them first")
    (tmp_path / "clients").write_text("")
    assert mps("stop") == (0, "NVIDIA MPS is stopped\n")
    assert mps("nonsense") == (2, "mps.sh: error: nonsense: start, stop or status?\n")
