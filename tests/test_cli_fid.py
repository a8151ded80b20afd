import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from rgan_bench.cli import fid as cli
from rgan_bench.experiment import run_experiment
from rgan_bench.schema import Config
from tests.test_data import write_images


@pytest.fixture
def rgan_fid(run_command: Callable[..., tuple[int, str, str]]) -> Callable[..., tuple[int, str, str]]:
    return partial(run_command, cli.main)


@pytest.fixture
def run(tiny_config: Callable[..., Config]) -> tuple[Path, dict]:
    """A finished run: (folder, result)."""
    result = run_experiment(tiny_config())
    (folder,) = Path("outputs").iterdir()
    return folder, result


def test_it_repeats_the_scores_of_the_run(run: tuple[Path, dict], rgan_fid: Callable) -> None:
    folder, result = run
    status, out, _ = rgan_fid(folder, "--all", "--json")
    assert status == 0
    rows = json.loads(out)
    assert [row["iteration"] for row in rows] == [2, 4]
    history = dict(result["scores"]["fd_pixels"]["history"])
    for row in rows:
        assert row["score"] == "fd_pixels"
        assert row["value"] == pytest.approx(history[row["iteration"]], rel=1e-6)
        assert row["protocol"] == result["protocol"]["fd_pixels"]  # and so they may be compared


def test_the_table(run: tuple[Path, dict], rgan_fid: Callable) -> None:
    folder, result = run
    status, out, err = rgan_fid(folder)
    assert status == 0
    header, line = out.splitlines()
    assert header.split() == ["path", "iteration", "score", "value", "fakes", "real", "batch", "norm"]
    value = result["scores"]["fd_pixels"]["final"]["value"]
    last = str(folder / "checkpoints" / "last.pt")
    assert line.split() == [last, "4", "fd_pixels", f"{value:.4g}", "200", "200", "batch"]
    assert "reused from" in err


def test_few_images_are_said_to_be_few(run: tuple[Path, dict], rgan_fid: Callable) -> None:
    folder, _ = run
    _, out, _ = rgan_fid(folder, "--num-samples", 100)
    assert "fd_pixels (rank-deficient)" in out
    assert "kd_pixels" in out
    assert out.splitlines()[-1].startswith("rank-deficient: fewer images than features")


def test_several_paths_share_the_real_statistics(run: tuple[Path, dict], rgan_fid: Callable) -> None:
    folder, _ = run
    checkpoints = sorted((folder / "checkpoints").glob("iter_*.pt"))
    status, out, err = rgan_fid(*checkpoints, "--num-samples", 230, "--batch-norm", "running", "--json")
    assert status == 0
    assert err.count("real images:") == 1
    assert [row["protocol"]["num_samples"] for row in json.loads(out)] == [230, 230]
    assert {row["protocol"]["batch_norm"] for row in json.loads(out)} == {"running"}


def test_fid_json_holds_the_newest_value_of_each_protocol(run: tuple[Path, dict], rgan_fid: Callable) -> None:
    folder, _ = run
    rgan_fid(folder)
    rgan_fid(folder)
    rgan_fid(folder, "--num-samples", 230)
    rgan_fid(folder, "--all")
    entries = json.loads((folder / "checkpoints" / "fid.json").read_text())
    found = sorted((entry["path"], entry["protocol"]["num_samples"]) for entry in entries)
    assert found == [("iter_000002.pt", 200), ("iter_000004.pt", 200), ("last.pt", 200), ("last.pt", 230)]


def test_folders_of_images(rgan_fid: Callable) -> None:
    write_images(Path("fakes"), 12)
    write_images(Path("real"), 20)
    status, out, _ = rgan_fid("fakes", "real", "--data", "real", "--features", "pixels", "--json")
    assert status == 0
    rows = json.loads(out)
    assert [row["score"] for row in rows] == ["fd_pixels", "kd_pixels"] * 2  # 12 images for 192 features
    fakes, real = rows[0], rows[2]
    assert fakes["protocol"]["rank_deficient"]
    assert (fakes["iteration"], fakes["protocol"]["num_samples"], fakes["protocol"]["batch_norm"]) == (None, 12, "none")
    assert fakes["value"] > 1
    assert real["value"] == pytest.approx(0, abs=1e-4)
    assert not list(Path("fakes").glob("*.json"))  # a folder of images is not ours to write into


def test_other_real_images_for_a_checkpoint(run: tuple[Path, dict], rgan_fid: Callable) -> None:
    folder, result = run
    write_images(Path("real"), 20)
    status, out, _ = rgan_fid(folder, "--data", "real", "--json")
    assert status == 0
    row = json.loads(out)[0]
    assert row["protocol"]["data"] != result["protocol"]["fd_pixels"]["data"]
    assert row["protocol"]["fingerprint"] != result["protocol"]["fd_pixels"]["fingerprint"]


REFUSED = [
    (["nowhere"], r"nowhere: there is no such file or folder"),
    (["images"], r"images: neither a checkpoint \(\.pt\) nor a run folder.*--data"),
    (["images", "--data", "nowhere"], r"--data nowhere: there is no such folder or \.zip; .*cifar10, demo"),
    (["images", "--data", "images", "--features", "pixel"], r"--features pixel: did you mean pixels\?"),
    (["images", "--data", "images", "--num-samples", "0"], r"--num-samples 0: must be at least 2"),
    (
        ["images", "--data", "images", "--num-real", "99", "--features", "pixels"],
        r"fid\.num_real=99: the data set has 3",
    ),
    (["images", "--data", "images", "--device", "gpu"], r"--device gpu: must be auto, cpu"),
    (["images", "--data", "images", "--device", "cuda:99"], r"device=cuda:99: "),
    (["broken.pt"], r"broken\.pt: cannot be read as a checkpoint"),
    (["empty", "--data", "images"], r"PATH=empty: holds no images"),
    (["started"], r"started/checkpoints/last\.pt: there is no such checkpoint"),
    (["started", "--all"], r"started: has no checkpoints/iter_\*\.pt"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=[" ".join(arguments) for arguments, _ in REFUSED])
def test_refusals(arguments: list[str], message: str, rgan_fid: Callable) -> None:
    write_images(Path("images"), 3)
    Path("broken.pt").write_text("x")
    Path("empty").mkdir()
    (Path("started") / "checkpoints").mkdir(parents=True)
    if arguments[0] == "empty":
        arguments = [*arguments, "--features", "pixels"]
    status, out, err = rgan_fid(*arguments)
    assert status == 2
    assert out == ""
    assert re.match(rf"rgan-fid: error: {message}", err.splitlines()[-1])
    assert "Traceback" not in err


def test_help_needs_no_torch(rgan_fid: Callable) -> None:
    status, out, _ = rgan_fid("--help")
    assert status == 0
    assert "--num-samples" in out
