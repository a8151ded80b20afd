"""What was decoded once is taken as it is, while it is what decoding would give."""

import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL
import pytest
import torch
from PIL import Image

from rgan_bench.config.schema import LimitsConfig
from rgan_bench.data import cache, folder
from rgan_bench.data.dataset import ImageDataset
from rgan_bench.data.load import load_data
from rgan_bench.errors import UserError
from tests.conftest import LIMITS
from tests.data.test_data import encoded, folder_config, write_images

Decoded = list[str]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Decoded:
    """Grows with every image that is decoded."""
    found: Decoded = []

    def counting(content: bytes, size: int, pixels: int, decode: Callable = folder.decode) -> np.ndarray:
        found.append("image")
        return decode(content, size, pixels)

    monkeypatch.setattr(folder, "decode", counting)
    return found


def loaded(decoded: Decoded, root: Path = Path("images"), limits: LimitsConfig = LIMITS) -> tuple[ImageDataset, int]:
    """The images, and how many of them were decoded for it."""
    decoded.clear()
    data = load_data(folder_config(root), limits)
    return data, len(decoded)


def the_file() -> Path:
    (path,) = Path("cache").iterdir()
    return path


@pytest.mark.parametrize("source", ["images", "images.zip"])
def test_images_are_decoded_once(source: str, decoded: Decoded, capsys: pytest.CaptureFixture) -> None:
    write_images(Path("images"))
    with zipfile.ZipFile("images.zip", "w") as archive:
        for path in Path("images").rglob("*.png"):
            archive.write(path)
    first, again = loaded(decoded, Path(source)), loaded(decoded, Path(source).absolute())
    assert [count for _, count in (first, again)] == [5, 0]
    assert torch.equal(first[0].images, again[0].images)
    assert replace(first[0], images=again[0].images, source=again[0].source) == again[0]
    said = f"{source}: kept decoded for the next run, 15.4 kB in {the_file().absolute()}\n"
    assert capsys.readouterr().err == said


CHANGES: dict[str, Callable[[pytest.MonkeyPatch], object]] = {
    "a file": lambda patch: Path("images/class_0/deep/0.png").write_bytes(encoded(Image.new("RGB", (32, 32), "red"))),
    "a file more": lambda patch: shutil.copy("images/class_0/deep/0.png", "images/new.png"),
    "another Pillow": lambda patch: patch.setattr(PIL, "__version__", "0"),
    "another decoder": lambda patch: patch.setattr(cache, "VERSION", 0),
    "truncated": lambda patch: os.truncate(the_file(), the_file().stat().st_size // 2),
    "no file of ours": lambda patch: the_file().write_bytes(b"damaged"),
    "other pixels": lambda patch: exchange(images=np.zeros((5, 3, 32, 32), np.uint8)),
    "another kind": lambda patch: exchange(images=np.zeros((5, 3, 32, 32))),
    "no key": lambda patch: exchange(key=None),
}


def exchange(**parts: np.ndarray | None) -> None:
    with np.load(the_file()) as saved:
        content = {name: part for name, part in {**saved, **parts}.items() if part is not None}
    np.savez(the_file(), **content)


@pytest.mark.parametrize("change", CHANGES)
def test_they_are_decoded_again_where_anything_has_changed(
    change: str, decoded: Decoded, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_images(Path("images"))
    first, _ = loaded(decoded)
    CHANGES[change](monkeypatch)
    again, count = loaded(decoded)
    assert count == len(again)
    assert (again.fingerprint != first.fingerprint) is change.startswith("a file")
    assert loaded(decoded)[1] == 0  # and is kept again, in the place of the old one
    assert the_file()


def test_what_the_limits_refuse_is_refused_though_it_was_decoded(decoded: Decoded) -> None:
    write_images(Path("images"))
    loaded(decoded)
    for limit in ("image_pixels", "file_bytes", "dataset_bytes"):
        with pytest.raises(UserError, match=rf"limits\.{limit}=50"):
            loaded(decoded, limits=replace(LIMITS, **{limit: 50}))
    assert loaded(decoded)[1] == 0


def test_a_set_of_which_something_is_left_out_is_read_each_time(decoded: Decoded) -> None:
    """What could not be read may be readable tomorrow."""
    write_images(Path("images"))
    Path("images/broken.png").write_bytes(b"broken")
    for _ in range(2):
        decoded.clear()
        assert load_data(folder_config("images", on_corrupt="skip"), LIMITS).skipped == 1
        assert len(decoded) == 6
    assert not Path("cache").exists()


def test_a_cache_that_takes_nothing_costs_time_and_nothing_else(
    decoded: Decoded, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, full_disk: Callable
) -> None:
    write_images(Path("images"))
    Path("cache").write_text("a file")
    wanted, _ = loaded(decoded)
    assert "images: cannot be kept decoded in" in capsys.readouterr().err
    Path("cache").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(cache, "BOUND", 10_000)
        loaded(decoded)
    assert "(15.4 kB are over its bound of 10 kB, or half of what is free)" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setenv("RGAN_BENCH_CACHE", "images/deep")
        loaded(decoded)
    assert "(it lies among the images" in capsys.readouterr().err
    assert not Path("images/deep").exists()
    loaded(decoded)
    place = the_file()
    place.unlink()
    full_disk(place.absolute())
    found, count = loaded(decoded)
    assert (found.fingerprint, count) == (wanted.fingerprint, 5)
    assert "(No space left on device)" in capsys.readouterr().err
    assert list(Path("cache").iterdir()) == []


def test_those_unused_for_longest_go(decoded: Decoded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "BOUND", 55_000)  # three of 15,360, with what each file has besides
    Path("cache").mkdir()
    Path("cache/.images-killed.npz.1-x.tmp").write_bytes(bytes(20_000))
    Path("cache/statistics.npz").write_bytes(bytes(99_999))  # is none of these
    os.utime("cache/.images-killed.npz.1-x.tmp", (0, 0))
    for number, name in enumerate("abc"):
        write_images(Path(name))
        loaded(decoded, Path(name))
        newest = max(Path("cache").glob("images-*"), key=lambda path: path.stat().st_mtime)
        os.utime(newest, (number + 1, number + 1))
    assert not Path("cache/.images-killed.npz.1-x.tmp").exists()
    assert loaded(decoded, Path("a"))[1] == 0  # used, and so the newest
    write_images(Path("d"))
    assert loaded(decoded, Path("d"))[1] == 5
    assert [loaded(decoded, Path(name))[1] for name in "adc"] == [0, 0, 0]
    assert loaded(decoded, Path("b"))[1] == 5
    assert Path("cache/statistics.npz").exists()
