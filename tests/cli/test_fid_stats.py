"""rgan-fid against mean and covariance in a file, and writing them."""

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from rgan_bench.cli import fid as cli
from rgan_bench.config.schema import Config
from rgan_bench.run.experiment import run_experiment
from tests.data.test_data import write_images


@pytest.fixture
def rgan_fid(run_command: Callable[..., tuple[int, str, str]]) -> Callable[..., tuple[int, str, str]]:
    return partial(run_command, cli.main)


WRITE = ("--write-real-stats", "real.npz", "--data", "real", "--features", "pixels")


def test_what_is_written_is_read_and_gives_the_same_distance(rgan_fid: Callable) -> None:
    write_images(Path("fakes"), 12)
    write_images(Path("real"), 20)
    status, out, err = rgan_fid(*WRITE)
    assert (status, out) == (0, "")
    assert "real.npz: pixels statistics of 20 images of folder" in err
    with np.load("real.npz") as saved:
        assert {name: saved[name].shape for name in saved} == {"mu": (192,), "sigma": (192, 192)}
    status, out, err = rgan_fid("fakes", "--real-stats", "real.npz", "--features", "pixels", "--json")
    assert status == 0
    (row,) = json.loads(out)  # no kernel distance: there are no features of real images
    by_images = json.loads(rgan_fid("fakes", "--data", "real", "--features", "pixels", "--json")[1])[0]
    assert row["value"] == pytest.approx(by_images["value"], rel=1e-12)
    assert row["protocol"]["num_real"] is None
    assert row["protocol"]["data"].startswith("statistics-")
    assert row["protocol"]["fingerprint"] != by_images["protocol"]["fingerprint"]
    _, out, _ = rgan_fid("fakes", "--real-stats", "real.npz", "--features", "pixels")
    assert " given " in out
    assert out.splitlines()[-1].endswith("the distance is biased")


def test_a_file_is_known_by_its_numbers(rgan_fid: Callable) -> None:
    write_images(Path("fakes"), 12)
    mu, sigma = np.zeros(192, dtype=np.float32), np.eye(192, dtype=np.float32)
    np.savez("one.npz", mu=mu, sigma=sigma)
    np.savez_compressed("two.npz", mu=mu.astype(float), sigma=sigma.astype(float), other=mu)
    np.savez("three.npz", mu=mu + 1, sigma=sigma)

    def data(name: str) -> str:
        out = rgan_fid("fakes", "--real-stats", name, "--features", "pixels", "--json")[1]
        return json.loads(out)[0]["protocol"]["data"]

    assert data("one.npz") == data("two.npz") != data("three.npz")


def test_checkpoints_are_scored_against_statistics(tiny_config: Callable[..., Config], rgan_fid: Callable) -> None:
    result = run_experiment(tiny_config())
    (folder,) = Path("outputs").iterdir()
    write = ("--write-real-stats", "demo.npz", "--data", "demo", "--features", "pixels")
    assert rgan_fid(*write)[0] == 0  # of all 10,000 of the demo set, where the run has 200
    status, out, _ = rgan_fid(folder, "--real-stats", "demo.npz", "--json", "--sampling-seeds", 2)
    assert status == 0
    (row,) = json.loads(out)
    assert row["score"] == "fd_pixels"
    assert row["draws"] == 2
    assert row["value"] == pytest.approx(result["scores"]["fd_pixels"]["final"]["value"], rel=0.2)
    kept = json.loads((folder / "checkpoints" / "fid.json").read_text())
    assert kept[0]["protocol"]["data"] == row["protocol"]["data"]


def spoilt(**arrays: np.ndarray) -> None:
    np.savez("odd.npz", **arrays)


EYE = np.eye(192)
GIVEN = ["fakes", "--real-stats", "odd.npz", "--features", "pixels"]
REFUSED: list[tuple[object, list[str], str]] = [
    (None, ["fakes", "--real-stats", "none.npz"], r"--real-stats none\.npz: there is no such file; it must hold `mu`"),
    (lambda: Path("odd.npz").write_text("x"), GIVEN, r"--real-stats odd\.npz: not such statistics \("),
    (lambda: spoilt(mu=np.zeros(192)), GIVEN, r"--real-stats odd\.npz: not such statistics \(.*sigma"),
    (
        lambda: spoilt(mu=np.zeros(192), sigma=EYE[:3]),
        GIVEN,
        r".*not such statistics, or not finite \(mu float64 \[192",
    ),
    (lambda: spoilt(mu=np.full(192, np.nan), sigma=EYE), GIVEN, r".*not such statistics, or not finite"),
    (lambda: spoilt(mu=np.zeros(192), sigma=EYE.astype(object)), GIVEN, r"--real-stats odd\.npz: not such statistics"),
    (
        lambda: spoilt(mu=np.zeros(5), sigma=np.eye(5)),
        GIVEN,
        r"fakes: --real-stats odd\.npz: is of 5 features, and pixels gives other ones; name the extractor",
    ),
    (
        lambda: spoilt(mu=np.zeros(192), sigma=EYE),
        [*GIVEN, "--metrics", "frechet,kid,mind"],
        r"fakes: --real-stats odd\.npz: holds mean and covariance, and kid, mind needs the features of real images",
    ),
    (None, [*GIVEN, "--data", "real"], r"--real-stats odd\.npz: stands in place of real images; leave out --data"),
    (None, [*GIVEN, "--num-real", "3"], r"--real-stats odd\.npz: stands in .*; leave out --num-real"),
    (None, [], r"PATH: name what to score"),
    (
        None,
        ["--write-real-stats", "new.npz"],
        r"--write-real-stats new\.npz: of which images and features\? Add --data",
    ),
    (None, [*WRITE, "fakes"], r"--write-real-stats real\.npz: nothing is scored then; leave out PATH"),
    (None, [*WRITE, "--metrics", "kid"], r"--write-real-stats real\.npz: nothing is scored then; leave out --metrics"),
    (None, ["--write-real-stats", "new", *WRITE[2:]], r"--write-real-stats new: its name must end in \.npz"),
    (None, ["--write-real-stats", "no/new.npz", *WRITE[2:]], r"--write-real-stats no/new\.npz: is there already, or"),
    (
        lambda: spoilt(mu=EYE),
        ["--write-real-stats", "odd.npz", *WRITE[2:]],
        r"--write-real-stats odd\.npz: is there al",
    ),
    (None, ["fakes", "--data", "real", "--metrics", "kis"], r"--metrics kis: did you mean kid\?"),
    (None, ["fakes", "--data", "real", "--sampling-seeds", "0"], r"--sampling-seeds 0: must be at least 1"),
    (None, ["fakes", "--data", "real", "--sampling-seeds", "2"], r"fakes: holds images, .*leave out --sampling-seeds"),
    (
        None,
        ["fakes", "--data", "real", "--features", "pixels", "--metrics", "inception_score"],
        r"fakes: fid\.metrics=\[inception_score\]: inception_score needs classes, which pixels has none of",
    ),
]


@pytest.mark.parametrize(("prepare", "arguments", "message"), REFUSED, ids=[each[2][:50] for each in REFUSED])
def test_refusals(prepare: Callable | None, arguments: list[str], message: str, rgan_fid: Callable) -> None:
    write_images(Path("fakes"), 3)
    write_images(Path("real"), 3)
    if prepare is not None:
        prepare()
    before = {path: path.stat().st_mtime_ns for path in Path.cwd().iterdir()}
    status, out, err = rgan_fid(*arguments)
    assert (status, out) == (2, "")
    assert re.match(rf"rgan-fid: error: {message}", err.splitlines()[-1])
    assert err.count("error:") == 1
    assert {path: path.stat().st_mtime_ns for path in Path.cwd().iterdir() if path.name != "cache"} == before
