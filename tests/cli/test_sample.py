"""rgan-sample: what it writes where, and what it refuses."""

import io
import re
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rgan_bench.cli import sample as cli
from rgan_bench.generators import packed
from rgan_bench.generators.images import sample_images
from tests.generators.made import POINTS, Tiny, made_run

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def rgan_sample(run_command: Command) -> Command:
    return partial(run_command, cli.main)


@pytest.fixture
def run(tiny_config: Tiny) -> Path:
    return made_run(tiny_config("fid.batch_size=4"))


def read(content: object) -> np.ndarray:
    return np.array(Image.open(content)).transpose(2, 0, 1)


def test_a_folder_a_zip_and_an_array_hold_the_same_images(run: Path, rgan_sample: Command) -> None:
    for out in ("folder", "a.zip", "a.npz"):
        status, _, err = rgan_sample(run, "--num", 6, "--seed", 3, "--out", out)
        assert (status, err.splitlines()[-1]) == (0, f"rgan-sample: {out}: 6 images")
        assert "last.pt (iteration 4): batch norm by batch statistics of batches of 4, as its scores are" in err
    wanted = sample_images(run, 6, seed=3, device="cpu").numpy()
    names = [f"{index:06d}.png" for index in range(6)]
    assert sorted(path.name for path in Path("folder").iterdir()) == names
    assert np.array_equal([read(Path("folder", name)) for name in names], wanted)
    with zipfile.ZipFile("a.zip") as archive:
        assert archive.namelist() == names
        assert np.array_equal([read(io.BytesIO(archive.read(name))) for name in names], wanted)
    assert np.array_equal(np.load("a.npz")["arr_0"], wanted.transpose(0, 2, 3, 1))
    before = Path("a.zip").read_bytes()
    assert rgan_sample(run, "--num", 6, "--seed", 3, "--out", "a.zip", "--force")[0] == 0
    assert Path("a.zip").read_bytes() == before


def test_what_is_there_stays_unless_forced(run: Path, rgan_sample: Command) -> None:
    rgan_sample(run, "--num", 5, "--out", "folder")
    Path("folder", "notes.png").write_text("mine")
    before = {path: path.read_bytes() for path in Path("folder").iterdir()}
    status, _, err = rgan_sample(run, "--num", 3, "--seed", 1, "--out", "folder")
    assert status == 2
    assert err == (
        "rgan-sample: error: folder: is there already, and not empty; choose another name, or add --force to overwrite "
        "it\n"
    )
    assert {path: path.read_bytes() for path in Path("folder").iterdir()} == before
    assert rgan_sample(run, "--num", 3, "--seed", 1, "--out", "folder", "--force")[0] == 0
    assert sorted(path.name for path in Path("folder").iterdir()) == [*(f"00000{n}.png" for n in range(3)), "notes.png"]


def test_several_each_get_a_place_of_their_own(tiny_config: Tiny, run: Path, rgan_sample: Command) -> None:
    other = made_run(tiny_config(), "other")
    (other / "checkpoints" / "last.pt").write_text("damaged")
    status, _, err = rgan_sample(run, run / "checkpoints" / "iter_000002.pt", other, "--grid", "2x3", "--out", "a")
    assert status == 2  # for the damaged one; the others are made
    assert re.findall("error: (.*?):", err) == ["other/checkpoints/last.pt"]
    assert sorted(path.name for path in Path("a").iterdir()) == ["run.png", "run_iter_000002.png"]
    assert read("a/run.png").shape == (3, 2 * 34 + 2, 3 * 34 + 2)
    assert np.array_equal(read("a/run.png")[:, 2:34, 2:34], sample_images(run, 1, device="cpu")[0].numpy())
    rgan_sample(run, "--all", "--num", 1, "--out", "b")
    assert sorted(map(str, Path("b").rglob("*.png"))) == [f"b/iter_00000{n}/000000.png" for n in (2, 4)]


def test_points_are_an_array_a_scatter_plot_or_its_film(tiny_config: Tiny, rgan_sample: Command) -> None:
    run = made_run(tiny_config(*POINTS, "train.keep=2"))
    assert rgan_sample(run, "--num", 30, "--out", "a.npz")[0] == 0
    points = np.load("a.npz")["arr_0"]
    assert (points.dtype, points.shape) == (np.float32, (30, 2))
    assert np.array_equal(points, sample_images(run, 30, device="cpu").numpy())
    assert rgan_sample(run, "--out", "a.png")[2].endswith("a.png: 2,000 points\n")
    assert read("a.png").shape == (3, 400, 400)
    status, _, err = rgan_sample(run, "--all", "--num", 50, "--video", "a.gif")
    assert status == 0
    assert "kept its last 2 checkpoints (train.keep=2); for a film of a whole training, train another with" in err
    for options, message in (
        (("--out", "b"), r"makes points, and no images; --out FILE\.npz holds them"),
        (("--grid", "2x2", "--out", "b.png"), "--grid 2x2: .* makes points"),
        (("--interpolate", 2, "--out", "b.png"), "--interpolate is for images"),
    ):
        status, _, err = rgan_sample(run, *options)
        assert status == 2
        assert re.search(message, err.splitlines()[-1])
    assert not list(Path().glob("b*"))


def test_films_and_exports(run: Path, rgan_sample: Command) -> None:
    pytest.importorskip("safetensors")
    status, _, err = rgan_sample(run, "--interpolate", 2, "--steps", 3, "--grid", "1x1", "--video", "a.webp")
    assert (status, err.splitlines()[-1]) == (0, "rgan-sample: a.webp: 6 frames over 2 latents")
    assert "batch norm by batch statistics of 4 reference latents" in err
    assert Image.open("a.webp").n_frames == 6
    assert rgan_sample(run, "--export", "a.safetensors", "--batch-norm", "running")[0] == 0
    assert rgan_sample("a.safetensors", "--interpolate", 1, "--steps", 2, "--out", "a.png")[0] == 0
    assert read("a.png").shape == (3, 36, 70)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_a_stop_on_the_way_leaves_whole_files(
    error: object, run: Path, rgan_sample: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = packed._as_array

    def failing(batch: torch.Tensor) -> np.ndarray:
        if failing.calls == 1:
            raise error
        failing.calls += 1
        return made(batch)

    monkeypatch.setattr(packed, "_as_array", failing)
    for out in ("folder", "a.zip", "a.npz"):
        failing.calls = 0
        status, _, err = rgan_sample(run, "--num", 9, "--out", out)
        if error is KeyboardInterrupt:
            assert (status, err.splitlines()[-1]) == (130, "rgan-sample: interrupted")
        else:
            assert (status, err.splitlines()[-1]) == (
                2,
                f"rgan-sample: error: {out}: cannot be written (No space left on device)",
            )
        assert ("rgan-sample: folder: holds 4 of 9 images" in err) == (out == "folder")
    assert sorted(path.name for path in Path().iterdir()) == ["folder", "run"]
    assert len([read(path) for path in Path("folder").iterdir()]) == 4


REFUSED = [
    ([], "PATH: name what to sample from"),
    (["run"], "--out, --video, --export: name one of them.*none was given"),
    (["run", "--out", "a", "--export", "a.onnx"], "several were given"),
    (["run", "--interpolate", "3"], "--out, --video, --export: name one of them"),
    (["run", "--out", "a", "--num", "0"], "--num 0: must be at least 1"),
    (["run", "--out", "a.png", "--grid", "4by4"], "--grid 4by4: must be ROWSxCOLS, as in 4x8"),
    (["run", "--out", "a.png"], r"a\.png: how many images shall the picture show\? Add --grid"),
    (["run", "--out", "a.tar"], r"--out a\.tar: its ending is not known; a folder, or one of: \.zip, \.npz, \.png"),
    (["run", "--video", "a.gif"], r"--video a\.gif: a film of what\? Add --all .*--interpolate N"),
    (["run", "--video", "a.mp4", "--all"], r"--video a\.mp4: its ending is not known; one of: \.gif, \.webp"),
    (["run", "--video", "a.gif", "--interpolate", "1"], "--interpolate 1: a film goes round over 2 latents at least"),
    (["run", "--out", "a.zip", "--grid", "2x2"], r"--out a\.zip: a grid would be one picture; name a \.png"),
    (["run", "--export", "a.pt"], r"--export a\.pt: its ending is not known; one of: \.safetensors, \.onnx"),
    (["run", "--export", "a.onnx", "--seed", "1"], "--seed: has no meaning for an export; leave it out"),
    (["run", "--out", "a", "--steps", "4"], "--steps: has no meaning for images"),
    (["run", "--out", "a", "--num", "4", "--grid", "2x2"], "--num 4: --grid says how many already"),
    (["run", "run", "--out", "a"], "a/run: 2 PATHs would be written there"),
    (["run", "run/checkpoints/last.pt", "--out", "a.zip"], r"a\.zip: one file cannot hold .* several PATHs; .*--out"),
    (["run", "--all", "--out", "a.npz"], r"a\.npz: one file cannot hold what comes from all checkpoints; name a fol"),
    (["run/checkpoints/last.pt", "--all", "--out", "a"], "is one file; name its run folder"),
    (["run", "--out", "run"], "run: is there already, and not empty"),
    (["run", "--out", "run.zip", "--force"], r"run\.zip: is there already, and a folder; choose another name"),
    (["run", "--ema", "--out", "a"], "has no averaged generator"),
    (["nowhere", "--out", "a"], "nowhere: there is no such file or folder"),
    (["run.zip", "--out", "a"], r"run\.zip: no run folder \(it has no checkpoints/\)"),
    (["bare", "--all", "--video", "a.gif"], r"bare: has no checkpoints/iter_\*\.pt; .* train\.keep=null"),
    (["bare", "--out", "a"], r"bare/checkpoints/last\.pt: there is no such checkpoint"),
    (["run", "--out", "a", "--device", "tpu"], "--device tpu: must be auto, cpu"),
]


def test_mistakes_cost_one_line_and_write_nothing(run: Path, rgan_sample: Command) -> None:
    Path("run.zip").mkdir()
    Path("bare", "checkpoints").mkdir(parents=True)
    before = sorted(Path().rglob("*"))
    for arguments, message in REFUSED:
        status, out, err = rgan_sample(*arguments)
        line = err.splitlines()[-1]
        assert (status, out) == (2, ""), arguments
        assert re.search(f"^rgan-sample: error: .*{message}", line), (arguments, line)
        assert sorted(Path().rglob("*")) == before, arguments
