"""The benchmark scripts run and print what they promise. What they measure is not looked at: a test times nothing."""

import json
import subprocess
import sys
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
        "--seconds", "0.2", "--workers", "0", "--device", "cpu", "--json", str(file),
    )  # fmt: skip
    assert "GFLOP an iteration, matrix rate" in text
    report = json.loads(file.read_text())
    assert list(report["rows"]) == ["reference", "plain", "ships"]
    assert report["rows"]["reference"]["ratio"] == 1
    for row in report["rows"].values():
        assert 0 < row["slowest"] <= row["iterations_per_second"] <= row["fastest"]
        assert 0 < row["of_floor"] < 1
        assert row["peak_memory"] > 1e8


def test_bench_train_refuses_what_rgan_train_refuses() -> None:
    for arguments, text in ((("--loss", "nosuch"), "loss/nosuch"), (("arch.width=0",), "arch.width=0: must be at")):
        command = [sys.executable, "-m", "scripts.bench_train", "--device", "cpu", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert text in done.stderr


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
