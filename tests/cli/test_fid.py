import json
import os
import re
import shutil
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from rgan_bench.cli import fid as cli
from rgan_bench.config.schema import ArchConfig, Config
from rgan_bench.errors import UserError
from rgan_bench.gan.networks import build_networks
from rgan_bench.run.experiment import run_experiment
from rgan_bench.scoring.scorer import Scorer
from tests.conftest import TINY
from tests.data.test_data import write_images


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
        assert row["value"] == history[row["iteration"]]  # to the bit: of the same images
        assert row["protocol"] == result["protocol"]["fd_pixels"]  # and so they may be compared


def test_averages_are_scored_beside_the_generators(
    tiny_config: Callable[..., Config], rgan_fid: Callable, run: tuple[Path, dict]
) -> None:
    result = run_experiment(tiny_config("ema.half_life=20", "output_root=averaged"))
    (folder,) = Path("averaged").iterdir()
    for options, name, generator in (((), "fd_pixels", None), (("--ema",), "fd_pixels_ema", "ema")):
        status, out, _ = rgan_fid(folder, "--all", "--json", *options)
        assert status == 0
        history = dict(result["scores"][name]["history"])
        for row in json.loads(out):
            assert (row["score"], row["protocol"].get("generator")) == (name, generator)
            assert row["value"] == history[row["iteration"]]
            assert row["protocol"] == result["protocol"][name]
    kept = json.loads((folder / "checkpoints" / "fid.json").read_text())
    assert [(row["path"], row["score"]) for row in kept] == [
        (f"iter_00000{n}.pt", name) for name in ("fd_pixels", "fd_pixels_ema") for n in (2, 4)
    ]
    status, out, err = rgan_fid(folder, run[0], "--ema", "--json")  # the second one has none
    assert status == 2
    assert [row.get("score") for row in json.loads(out)] == ["fd_pixels_ema", None]
    (line,) = errors_in(err)
    assert re.search(r"last\.pt: has no averaged generator, .* ema\.half_life=0; leave out --ema", line)


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
        r"images: fid\.num_real=99: the data set has 3",
    ),
    (["images", "--data", ""], r"--data : there is no such folder or \.zip"),
    (["images", "--data", "x" * 300], r"--data x{300}: cannot be opened \(.*File name too long"),
    (["x" * 300], r"x{300}: cannot be scored \(OSError: .*File name too long"),
    (
        ["one.zip", "--data", "images", "--features", "pixels"],
        r"one\.zip: holds one image, and a score needs at least 2",
    ),
    (
        ["images", "--data", "one.zip", "--features", "pixels"],
        r"images: one\.zip: holds one image, and a score needs at least 2 real ones; add some, or score never: fid",
    ),
    (
        ["images", "--data", "images", "--num-samples", "99"],
        r"images: holds images, and all of them are scored as they are; leave out --num-samples, which is for gen",
    ),
    (
        ["images", "--data", "images", "--ema"],
        r"images: holds images, .*; leave out --ema, which is for generators",
    ),
    (
        ["images", "--data", "images", "--batch-norm", "running"],
        r"images: holds images, .*; leave out --batch-norm, which is for generators",
    ),
    (
        ["images", "--data", "images", "--features", "pixels", "--weights", "w.pth"],
        r"images: --weights is for dinov2, dinov2-vitb14, inception, and this is scored with pixels",
    ),
    (["images", "--data", "images", "--device", "gpu"], r"--device gpu: must be auto, cpu"),
    (["images", "--data", "images", "--device", "cuda:99"], r"device=cuda:99: "),
    (["broken.pt"], r"broken\.pt: cannot be read as a checkpoint"),
    (["empty", "--data", "images"], r"empty: holds no images"),
    (["started"], r"started/checkpoints/last\.pt: there is no such checkpoint"),
    (["started", "--all"], r"started: has no checkpoints/iter_\*\.pt"),
    (["odd", "--all"], r"odd: has no checkpoints/iter_\*\.pt"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=[" ".join(arguments)[:60] for arguments, _ in REFUSED])
def test_refusals(arguments: list[str], message: str, rgan_fid: Callable) -> None:
    write_images(Path("images"), 3)
    Path("broken.pt").write_text("x")
    Path("empty").mkdir()
    (Path("started") / "checkpoints").mkdir(parents=True)
    (Path("odd") / "checkpoints").mkdir(parents=True)
    (Path("odd") / "checkpoints" / "iter_old.pt").write_text("x")
    with zipfile.ZipFile("one.zip", "w") as archive:
        archive.write(min(Path("images").rglob("*.png")), "only.png")
    if arguments[0] == "empty":
        arguments = [*arguments, "--features", "pixels"]
    status, out, err = rgan_fid(*arguments)
    assert status == 2
    assert out == ""
    assert re.match(rf"rgan-fid: error: {message}", err.splitlines()[-1])
    assert err.count("error:") == 1
    assert "Traceback" not in err


# --- one bad path of several ------------------------------------------------------------------------------------------


def spoil(checkpoint: Path) -> None:
    """One weight becomes NaN."""
    content = torch.load(checkpoint)
    content["generator"]["project.weight"][0, 0] = float("nan")
    torch.save(content, checkpoint)


def errors_in(err: str) -> list[str]:
    return [line.removeprefix("rgan-fid: error: ") for line in err.splitlines() if "rgan-fid: error: " in line]


def strict(text: str) -> list[dict]:
    """JSON as its standard has it: without NaN."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    return json.loads(text, parse_constant=refuse)


def test_weights_that_are_not_finite_are_named_and_get_no_score(run: tuple[Path, dict], rgan_fid: Callable) -> None:
    folder, _ = run
    bad, good = sorted((folder / "checkpoints").glob("iter_*.pt"))
    spoil(bad)
    status, out, err = rgan_fid(bad)
    wanted = f"{bad}: cannot be scored: the generator's weights, or the images that it makes, are not finite"
    assert (status, out, errors_in(err)) == (2, "", [wanted])
    assert not bad.with_name("fid.json").exists()
    status, out, err = rgan_fid(folder, "--all", "--json")
    assert (status, errors_in(err)) == (2, [wanted])
    first, second = strict(out)
    assert first == {"path": str(bad), "error": wanted}
    assert (second["path"], second["iteration"]) == (str(good), 4)


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "nowhere": (lambda folder: None, "nowhere: there is no such file or folder"),
    "images": (
        lambda folder: write_images(Path("images"), 3),
        r"images: neither a checkpoint \(\.pt\) nor a run folder",
    ),
    "started": (
        lambda folder: (Path("started") / "checkpoints").mkdir(parents=True),
        r"started/checkpoints/last\.pt: there is no such checkpoint",
    ),
    "broken.pt": (lambda folder: Path("broken.pt").write_text("x"), r"broken\.pt: cannot be read as a checkpoint"),
    "folder.pt": (lambda folder: Path("folder.pt").mkdir(), r"folder\.pt: neither a checkpoint"),
    "nan.pt": (
        lambda folder: spoil(shutil.copy(folder / "checkpoints" / "last.pt", Path("nan.pt"))),
        r"nan\.pt: cannot be scored: the generator's weights",
    ),
    "larger.pt": (lambda folder: larger(folder), r"larger\.pt: makes images of 64 px, the real ones have 32 px"),
}


def larger(folder: Path) -> None:
    """A checkpoint for images of another size than those of `--data demo`."""
    content = torch.load(folder / "checkpoints" / "last.pt")
    arch = content["config"]["arch"] | {"name": "dcgan64", "image_size": 64}
    content["config"] |= {"arch": arch, "data": content["config"]["data"] | {"image_size": 64}}
    content["generator"] = build_networks(ArchConfig(**arch), seed=0)[0].state_dict()
    torch.save(content, "larger.pt")


@pytest.mark.parametrize("name", BAD)
def test_one_bad_path_does_not_cost_the_others(name: str, run: tuple[Path, dict], rgan_fid: Callable) -> None:
    folder, _ = run
    make, message = BAD[name]
    make(folder)
    data = ("--data", "demo") if name == "larger.pt" else ()
    one, two = sorted((folder / "checkpoints").glob("iter_*.pt"))
    status, out, err = rgan_fid(one, name, two, "--json", *data)
    assert status == 2
    first, bad, second = strict(out)
    assert [row["iteration"] for row in (first, second)] == [2, 4]
    assert set(bad) == {"path", "error"}
    assert bad["path"] in (name, "started/checkpoints/last.pt")
    assert [bad["error"]] == errors_in(err)
    assert re.match(message, bad["error"])
    status, out, err = rgan_fid(one, name, two, *data)
    assert (status, len(errors_in(err)), len(out.splitlines())) == (2, 1, 3)
    assert "Traceback" not in err
    status, out, err = rgan_fid(name, name, "--json", *data)
    assert (status, [set(row) for row in strict(out)]) == (2, [{"path", "error"}] * 2)


def test_what_is_wrong_with_the_paths_is_said_before_the_long_work(run: tuple[Path, dict], rgan_fid: Callable) -> None:
    folder, _ = run
    _, _, err = rgan_fid(folder, "nowhere", Path(__file__).parent)
    lines = err.splitlines()
    assert ["error:" in line for line in lines[:2]] == [True, True]
    assert lines[-1].startswith("pixels statistics")
    assert any(line.startswith("scoring ") for line in lines[2:])


def test_whatever_else_goes_wrong_with_one_the_others_are_scored(
    run: tuple[Path, dict], rgan_fid: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = run
    original = Scorer.score
    calls: list[int] = []

    def sometimes(self: Scorer, *arguments: object) -> dict[str, float]:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("out of\nmemory")
        return original(self, *arguments)

    monkeypatch.setattr(Scorer, "score", sometimes)
    status, out, err = rgan_fid(folder, "--all", "--json")
    assert status == 2
    assert [row.get("iteration") for row in strict(out)] == [None, 4]
    (line,) = errors_in(err)
    assert line.endswith(".pt: cannot be scored (RuntimeError: out of memory); HYDRA_FULL_ERROR=1 shows where")
    calls.clear()
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(RuntimeError, match="out of\nmemory"):
        rgan_fid(folder)


def test_a_score_that_is_no_number_is_an_error(
    run: tuple[Path, dict], rgan_fid: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scorer, "score", lambda self, *arguments: {"fd_pixels": float("nan")})
    status, out, _ = rgan_fid(run[0], "--json")
    assert status == 2
    (row,) = strict(out)
    assert row["error"].endswith("last.pt: its score came out as {'fd_pixels': nan}")
    assert not (run[0] / "checkpoints" / "fid.json").exists()


def test_weights_that_cannot_be_had_are_asked_for_once(
    run: tuple[Path, dict], rgan_fid: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def download(url: str, *arguments: object, **settings: object) -> None:
        asked.append(url)
        raise OSError("no route to host")

    monkeypatch.setattr("torch.hub.download_url_to_file", download)
    status, _, err = rgan_fid(run[0], "--all", "--features", "inception")
    assert (status, len(asked)) == (2, 1)
    first, second = errors_in(err)
    assert "iter_000002.pt: fid.features=inception: cannot download" in first
    assert "iter_000004.pt: fid.features=inception: cannot download" in second


def test_all_goes_by_number_and_not_by_name(run: tuple[Path, dict], rgan_fid: Callable) -> None:
    checkpoints = run[0] / "checkpoints"
    shutil.move(checkpoints / "iter_000004.pt", checkpoints / "iter_1000000.pt")
    shutil.move(checkpoints / "iter_000002.pt", checkpoints / "iter_900000.pt")
    _, out, _ = rgan_fid(run[0], "--all", "--json")
    assert [Path(row["path"]).name for row in strict(out)] == ["iter_900000.pt", "iter_1000000.pt"]


# --- what stands in the way of writing --------------------------------------------------------------------------------

PROTOCOL = {"fingerprint": "f"}
DAMAGED = {
    "half": b'[{"path": "last.pt", "prot',
    "empty": b"",
    "not UTF-8": b'[{"path": "\xff"}]',
    "not a list": b'{"path": "last.pt"}',
    "text": b'""',
    "of text": b'["last.pt"]',
    "without a path": json.dumps([{"protocol": PROTOCOL}]).encode(),
    "without a protocol": b'[{"path": "last.pt"}]',
    "a protocol of text": b'[{"path": "last.pt", "protocol": "f"}]',
    "a path that is a list": json.dumps([{"path": [], "protocol": PROTOCOL}]).encode(),
    "NaN": json.dumps([{"path": "last.pt", "protocol": PROTOCOL, "value": float("nan")}]).encode(),
    "beyond floats": b'[{"path": "last.pt", "protocol": {"fingerprint": "f"}, "value": 1e999}]',
    "very deep": b"[" * 100_000,
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_fid_json_is_set_aside_and_the_score_kept(
    name: str, run: tuple[Path, dict], rgan_fid: Callable
) -> None:
    path = run[0] / "checkpoints" / "fid.json"
    path.write_bytes(DAMAGED[name])
    status, out, err = rgan_fid(run[0], "--json")
    assert status == 0
    (row,) = strict(out)
    assert f"rgan-fid: warning: {path} was damaged: it is set aside as fid.json.damaged, and a new one written" in err
    assert path.with_name("fid.json.damaged").read_bytes() == DAMAGED[name]
    assert strict(path.read_text()) == [{**row, "path": "last.pt"}]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full: Linux has one")
@pytest.mark.parametrize("before", [b"[]", b"damaged"])
def test_no_space_for_fid_json_costs_a_warning(
    before: bytes, run: tuple[Path, dict], rgan_fid: Callable, full_disk: Callable[[Path], None]
) -> None:
    path = run[0] / "checkpoints" / "fid.json"
    path.write_bytes(before)
    full_disk(path)
    status, out, err = rgan_fid(run[0], "--json")
    assert (status, len(strict(out))) == (0, 1)
    assert f"rgan-fid: warning: cannot write {path} ([Errno 28] No space left on device)" in err
    assert path.read_bytes() == before
    assert not path.with_name("fid.json.damaged").exists()


def test_a_fid_json_that_cannot_be_read_is_left_alone(run: tuple[Path, dict], rgan_fid: Callable) -> None:
    path = run[0] / "checkpoints" / "fid.json"
    path.mkdir()
    status, out, err = rgan_fid(run[0], "--json")
    assert (status, len(strict(out))) == (0, 1)
    assert f"rgan-fid: warning: cannot write {path} ([Errno 21] Is a directory" in err
    assert path.is_dir()


def test_a_name_that_is_not_utf8(run: tuple[Path, dict], rgan_fid: Callable) -> None:
    name = os.fsdecode(b"gr\xfcn.pt")
    shutil.copy(run[0] / "checkpoints" / "last.pt", name)
    sys.stderr.reconfigure(errors="backslashreplace")  # as it is outside of tests
    status, out, _ = rgan_fid(name)
    assert status == 0
    assert out.splitlines()[1].startswith("gr\\udcfcn.pt ")
    assert strict(Path("fid.json").read_text())[0]["path"] == name


def test_without_a_home_folder(run: tuple[Path, dict], rgan_fid: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(number: int) -> None:
        raise KeyError(number)

    monkeypatch.delenv("HOME")
    monkeypatch.delenv("RGAN_BENCH_CACHE")
    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.setattr("tempfile.tempdir", str(Path("temporary").absolute()))
    status, out, err = rgan_fid(run[0], "--json")
    assert (status, len(strict(out))) == (0, 1)
    assert err.count("no home folder: real images' statistics are kept in ") == 1
    assert len(list(Path("temporary").rglob("*.npz"))) == 1


def test_one_real_image_is_refused_before_a_run_that_would_score(compose_config: Callable[..., Config]) -> None:
    write_images(Path("images"), 1)
    others = [setting for setting in TINY if not setting.startswith("data")]
    config = compose_config(*others, "data=folder", "data.root=images", "data.image_size=32", "train.batch_size=1")
    with pytest.raises(UserError, match=r"^images: holds one image, .*; add some, or score never: fid\.every=null$"):
        run_experiment(config)
    assert not Path("outputs").exists()


def test_help_needs_no_torch(rgan_fid: Callable) -> None:
    status, out, _ = rgan_fid("--help")
    assert status == 0
    assert "--num-samples" in out
