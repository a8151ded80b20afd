"""CAT from archives to tensors, on a miniature of the published layout: drawn faces with known landmarks."""

import contextlib
import csv
import errno
import http.server
import io
import math
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

cv2 = pytest.importorskip("cv2", reason="the extra `cat` is not installed")

from rgan_bench.cli import prepare_cat as cli  # noqa: E402
from rgan_bench.config.validate import data_config  # noqa: E402
from rgan_bench.data import cat_faces as cat_data  # noqa: E402
from rgan_bench.data.cat import download  # noqa: E402
from rgan_bench.data.cat.geometry import FaceCrop, face_crop, parse_landmarks  # noqa: E402
from rgan_bench.data.cat.source import ADDED_ANNOTATION, STRAY_ANNOTATION, outliers  # noqa: E402
from rgan_bench.data.load import load_data  # noqa: E402
from rgan_bench.errors import UserError  # noqa: E402
from rgan_bench.locks import held  # noqa: E402
from tests.conftest import LIMITS  # noqa: E402
from tests.data.test_data import closed  # noqa: E402


def level_landmarks(x: float, y: float, span: float) -> list[float]:
    """A face with level eyes, their middle at (x, y), and `span` between the outer bases of the ears."""
    s = span
    points = [
        (x - 0.2 * s, y), (x + 0.2 * s, y), (x, y + 0.3 * s),
        (x - 0.5 * s, y - 0.1 * s), (x - 0.4 * s, y - 0.4 * s), (x - 0.2 * s, y - 0.3 * s),
        (x + 0.2 * s, y - 0.3 * s), (x + 0.4 * s, y - 0.4 * s), (x + 0.5 * s, y - 0.1 * s),
    ]  # fmt: skip
    return [coordinate for point in points for coordinate in point]


def turned(landmarks: list[float], degrees: float) -> list[float]:
    """The same face, turned clockwise (as seen, y pointing down) about the middle of the eyes."""
    cx, cy = (landmarks[0] + landmarks[2]) / 2, (landmarks[1] + landmarks[3]) / 2
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    found = []
    for x, y in zip(landmarks[::2], landmarks[1::2], strict=True):
        found += [cx + c * (x - cx) - s * (y - cy), cy + s * (x - cx) + c * (y - cy)]
    return found


# --- geometry ---------------------------------------------------------------------------------------------------------


def box(crop: FaceCrop) -> tuple[int, int, int, int]:
    return crop.left, crop.top, crop.right, crop.bottom


def test_a_level_face_in_the_middle() -> None:
    crop = face_crop(level_landmarks(250, 200, 100), 500, 375)
    assert crop.centre == (250, 200)
    assert crop.degrees == 0
    assert box(crop) == (200, 160, 300, 260)  # a square of 100 with the eyes at (0.5, 0.4)
    assert crop.shorter_side == 100


@pytest.mark.parametrize("degrees", [-80, -30, -7, 12, 45, 89])
def test_a_turned_face_is_turned_back(degrees: float) -> None:
    crop = face_crop(turned(level_landmarks(250.25, 200.25, 100), degrees), 500, 375)
    assert crop.degrees == pytest.approx(degrees)
    assert crop.centre == pytest.approx((250.25, 200.25))
    assert box(crop) == (200, 160, 300, 260)


def test_eyes_that_changed_sides_are_swapped() -> None:
    landmarks = turned(level_landmarks(250.25, 200.25, 100), 60)
    landmarks[4] = landmarks[2] + 50  # the mouth right of the right eye
    # Labelled the other way round: the left eye is now right of and below the right one, so nothing is swapped …
    other = [*landmarks[2:4], *landmarks[0:2], *landmarks[4:]]
    assert other[0] > other[2]
    assert other[1] > other[3]
    assert face_crop(other, 500, 375).degrees == pytest.approx(60 - 180)
    # … while right of and above it, with the mouth right of the right eye, they are.
    swapped = turned(level_landmarks(250.25, 200.25, 100), -60)
    swapped = [*swapped[2:4], *swapped[0:2], swapped[0] + 50, *swapped[5:]]
    assert swapped[0] > swapped[2]
    assert swapped[1] < swapped[3]
    assert face_crop(swapped, 500, 375).degrees == pytest.approx(-60)
    swapped[4] = swapped[2] - 1  # the mouth left of the right eye: as labelled
    assert face_crop(swapped, 500, 375).degrees == pytest.approx(120)


@pytest.mark.parametrize(
    ("x", "y", "wanted"),
    [
        (30, 200, (0, 160, 80, 260)),  # left: cut
        (250, 20, (200, 0, 300, 80)),  # top: cut
        (480, 200, (430, 160, 500, 260)),  # right: the slice ends with the photo
        (250, 340, (200, 300, 300, 375)),  # bottom
        (30, 20, (0, 0, 80, 80)),
    ],
)
def test_boxes_that_leave_the_photo_are_not_square(x: float, y: float, wanted: tuple[int, ...]) -> None:
    assert box(face_crop(level_landmarks(x, y, 100), 500, 375)) == wanted


def test_boxes_outside_have_no_area() -> None:
    assert face_crop(level_landmarks(700, 200, 100), 500, 375).shorter_side == 0
    assert face_crop(level_landmarks(-100, 200, 100), 500, 375).shorter_side == 0
    assert face_crop(level_landmarks(250, 200, 0), 500, 375).shorter_side == 0


@pytest.mark.parametrize(
    ("landmarks", "wanted"),
    [
        # The middle of the eyes added first, the box begins at (113, 51); …
        (
            [154, 96, 244, 144, 198, 163, 110, 101, 172, 60, 292, 25, 110, 40, 173, 44, 300, 106],
            (114, 52, 284, 222),
        ),
        # … the side times 0.4 instead of times 2, divided by 5, it ends at 234.
        (
            [214, 142, 270, 184, 239, 200, 172, 142, 270, 125, 248, 100, 207, 98, 189, 84, 316, 150],
            (182, 115, 302, 235),
        ),
    ],
)
def test_boxes_are_the_author_s_to_the_last_bit(landmarks: list[int], wanted: tuple[int, ...]) -> None:
    """Corners that lie on a whole pixel, where the order of sums and products decides which."""
    crop = face_crop(landmarks, 500, 375)
    assert box(crop) == wanted
    across = landmarks[2] - landmarks[0], landmarks[3] - landmarks[1]
    assert crop.degrees == math.atan2(across[1], across[0]) * 180 / math.pi


def test_landmarks_are_nine_points() -> None:
    numbers = [float(i) for i in range(18)]
    assert parse_landmarks("9 " + " ".join(map(str, numbers)) + " \n") == numbers
    for text, message in [
        ("", "empty"),
        ("9 1 2 3", "announces 9 points and holds 3"),
        ("8 " + "1 " * 16, "announces 8 points"),
        ("9 " + "1 " * 19, "holds 19 coordinates"),
        ("9 " + "1 " * 17 + "nose", "text where numbers belong"),
        ("9 " + "1 " * 17 + "inf", "not finite"),
    ]:
        with pytest.raises(ValueError, match=message):
            parse_landmarks(text)


# --- a miniature archive ----------------------------------------------------------------------------------------------


def photo(landmarks: list[float], width: int, height: int, seed: int) -> np.ndarray:
    """Texture everywhere, so that every pixel of a crop counts, and a face where the landmarks are. BGR."""
    noise = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    image = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    points = np.array(landmarks).reshape(9, 2).round().astype(int)
    for ear in (points[3:6], points[6:9]):
        cv2.fillPoly(image, [ear.astype(np.int32)], (60, 90, 160))
    for eye in points[:2]:
        cv2.circle(image, tuple(map(int, eye)), 6, (40, 200, 40), -1)
    cv2.circle(image, tuple(map(int, points[2])), 8, (90, 60, 220), -1)
    return image


FACES = {
    # name: (landmarks, width, height), and what becomes of it
    "00000001_000": (level_landmarks(250, 170, 140), 500, 375),
    "00000001_005": (turned(level_landmarks(250.3, 180.3, 150), 25), 500, 375),
    "00000001_008": (level_landmarks(400, 300, 280), 800, 700),
    "00000001_011": (turned(level_landmarks(300.3, 300.3, 300), -40), 640, 720),
    "00000001_012": (level_landmarks(40, 150, 150), 375, 500),  # at the left border: 115 × 150
    "00000001_017": (level_landmarks(200, 150, 50), 400, 300),  # too small for any size
    "00000003_015": (level_landmarks(250, 170, 130), 500, 375),  # its annotation is published apart
    "00000004_007": (level_landmarks(250, 170, 130), 500, 375),  # an outlier
    "00000002_001": (level_landmarks(250, 170, 130), 500, 375),  # loses its annotation
    "00000002_002": (level_landmarks(250, 170, 130), 500, 375),  # gets a wrong count
    "00000002_003": (level_landmarks(250, 170, 130), 500, 375),  # gets text
    "00000002_004": (level_landmarks(250, 170, 130), 500, 375),  # is truncated
    "00000002_005": (level_landmarks(250, 170, 130), 500, 375),  # is no image at all
    "00000002_006": (level_landmarks(900, 170, 130), 500, 375),  # a crop of no area
}
WANTED = {
    "00000001_000.jpg": ("kept", "64 128"),
    "00000001_005.jpg": ("kept", "64 128"),
    "00000001_008.jpg": ("kept", "64 128 256"),
    "00000001_011.jpg": ("kept", "64 128 256"),
    "00000001_012.jpg": ("kept", "64"),
    "00000001_017.jpg": ("kept", ""),
    "00000003_015.jpg": ("kept", "64 128"),
    "00000004_007.jpg": ("outlier", ""),
    "00000002_001.jpg": ("no annotation", ""),
    "00000002_002.jpg": ("bad annotation", ""),
    "00000002_003.jpg": ("bad annotation", ""),
    "00000002_004.jpg": ("unreadable", ""),
    "00000002_005.jpg": ("unreadable", ""),
    "00000002_006.jpg": ("no area", ""),
}


def files_of_miniature() -> dict[str, bytes]:
    files = {}
    for index, (name, (landmarks, width, height)) in enumerate(sorted(FACES.items())):
        _, encoded = cv2.imencode(".jpg", photo(landmarks, width, height, index))
        files[f"{name}.jpg"] = encoded.tobytes()
        files[f"{name}.jpg.cat"] = ("9 " + " ".join(str(number) for number in landmarks) + " ").encode()
    del files["00000002_001.jpg.cat"]
    files["00000002_002.jpg.cat"] = b"9 1 2 3"
    files["00000002_003.jpg.cat"] = b"9 one two"
    files["00000002_004.jpg"] = b"\xff\xd8\xff" + files["00000002_004.jpg"][3:40]
    files["00000002_005.jpg"] = b"text"
    files[STRAY_ANNOTATION] = files["00000001_000.jpg.cat"]
    return files


def write_miniature(root: Path) -> None:
    """Two zips with folders CAT_00 … in them, and the annotation that lies beside them."""
    files = files_of_miniature()
    root.mkdir(parents=True)
    (root / ADDED_ANNOTATION).write_bytes(files.pop(ADDED_ANNOTATION))
    for number in (1, 2):
        with zipfile.ZipFile(root / f"CAT_DATASET_0{number}.zip", "w") as archive:
            for index, (name, content) in enumerate(sorted(files.items())):
                if (index // 4) % 2 == number - 1:
                    archive.writestr(f"CAT_0{index % 7}/{name}", content)


@pytest.fixture
def prepare(run_command: Callable[..., tuple[int, str, str]]) -> Callable[..., tuple[int, str, str]]:
    return partial(run_command, cli.main)


def contents(out: Path) -> dict[str, bytes]:
    """All files but .lock, which says who held it last."""
    files = (path for path in sorted(out.rglob("*")) if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def report(out: Path) -> dict[str, tuple[str, str]]:
    with (out / "report.csv").open() as file:
        return {row["photo"]: (row["status"], row["sizes"]) for row in csv.DictReader(file)}


def test_archives_to_faces(prepare: Callable) -> None:
    write_miniature(Path("archives"))
    status, out, err = prepare("--source", "archives", "--out", "cat")
    assert status == 0
    assert report(Path("cat")) == WANTED
    counted = dict(line.rsplit(maxsplit=1) for line in out.splitlines() if line.startswith(("photos", "annotations")))
    assert counted == {
        "photos found": "14",
        "annotations repaired": "2",
        "photos: outlier": "1",
        "photos: no annotation": "1",
        "photos: bad annotation": "2",
        "photos: unreadable": "2",
        "photos: no area": "1",
        "photos: bad name": "0",
        "photos: duplicate": "0",
        "photos: crop below every size": "1",
    }
    kept = [line.split() for line in out.splitlines() if line.startswith("kept")]
    assert kept == [
        ["kept", "at", "64×64", "6", "9,304"],
        ["kept", "at", "128×128", "5", "6,645"],
        ["kept", "at", "256×256", "2", "2,011"],
    ]
    assert "warning: other numbers than the paper's at 64×64, 128×128, 256×256" in err
    for size, count in ((64, 6), (128, 5), (256, 2)):
        faces = sorted((Path("cat") / str(size)).iterdir())
        assert len(faces) == count
        assert all(cv2.imread(str(face)).shape == (size, size, 3) for face in faces)


@pytest.mark.parametrize("name", [name for name, (status, sizes) in WANTED.items() if sizes])
def test_crops_are_opencv_s_pixel_by_pixel(name: str, prepare: Callable) -> None:
    """Once more, with OpenCV called directly and the box by hand."""
    write_miniature(Path("archives"))
    assert prepare("--source", "archives", "--out", "cat", "--sizes", "64")[0] == 0
    landmarks, width, height = FACES[name.removesuffix(".jpg")]
    Path(name).write_bytes(files_of_miniature()[name])
    image = cv2.imread(name)
    assert image.shape == (height, width, 3)
    points = np.array(landmarks).reshape(9, 2)
    middle, across = (points[0] + points[1]) / 2, points[1] - points[0]
    matrix = cv2.getRotationMatrix2D(tuple(middle), np.degrees(np.arctan2(across[1], across[0])), 1)
    straight = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=(128, 128, 128))
    ears = (matrix @ np.c_[points, np.ones(9)].T).T[[3, 8], 0]
    side = abs(ears[1] - ears[0])
    x, y = middle[0] - side / 2, middle[1] - 0.4 * side
    face = straight[int(max(y, 0)) : int(y + side), int(max(x, 0)) : int(x + side)]
    found = cv2.imread(str(Path("cat") / "64" / name.replace(".jpg", ".png")))
    assert np.array_equal(found, cv2.resize(face, (64, 64), interpolation=cv2.INTER_LINEAR))


def test_the_eyes_are_level_at_two_fifths(prepare: Callable) -> None:
    """Seen in the picture itself: green eyes at the expected places."""
    write_miniature(Path("archives"))
    prepare("--source", "archives", "--out", "cat", "--sizes", "128")
    for name in ("00000001_000", "00000001_005", "00000001_011"):
        face = cv2.imread(f"cat/128/{name}.png").astype(int)
        for x in (0.3, 0.7):
            blue, green, red = face[round(0.4 * 128), round(x * 128)]
            assert green > 120 > max(blue, red), name


def test_unpacked_folders_give_the_same(prepare: Callable) -> None:
    write_miniature(Path("archives"))
    for path in Path("archives").glob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(Path("unpacked") / "deep")
    (Path("unpacked") / ADDED_ANNOTATION).write_bytes((Path("archives") / ADDED_ANNOTATION).read_bytes())
    prepare("--source", "archives", "--out", "one")
    prepare("--source", "unpacked", "--out", "two")
    assert contents(Path("one")) == contents(Path("two"))


def test_one_worker_and_many_give_the_same(prepare: Callable) -> None:
    write_miniature(Path("archives"))
    prepare("--source", "archives", "--out", "one", "--workers", "1")
    prepare("--source", "archives", "--out", "two", "--workers", "5")
    assert contents(Path("one")) == contents(Path("two"))


def test_keep_outliers_and_jpeg(prepare: Callable) -> None:
    write_miniature(Path("archives"))
    prepare("--source", "archives", "--out", "cat", "--keep-outliers", "--format", "jpeg")
    assert report(Path("cat"))["00000004_007.jpg"] == ("kept", "64 128")
    assert (Path("cat") / "64" / "00000004_007.jpg").exists()
    status, _, err = prepare("--source", "archives", "--out", "cat")
    assert status == 2
    assert "which this run would not make (other --format" in err


def test_the_outliers_are_the_author_s() -> None:
    assert len(outliers()) == 134
    assert "00000004_007.jpg" in outliers()


def test_finished_files_are_kept(prepare: Callable) -> None:
    write_miniature(Path("archives"))
    prepare("--source", "archives", "--out", "cat")
    before, times = contents(Path("cat")), {p: p.stat().st_mtime_ns for p in Path("cat").glob("*/*")}
    (Path("cat") / "64" / "00000001_000.png").unlink()
    prepare("--source", "archives", "--out", "cat")
    assert contents(Path("cat")) == before
    changed = [path.name for path, written in times.items() if path.stat().st_mtime_ns != written]
    assert changed == ["00000001_000.png"]


def test_killed_in_the_middle_and_called_again(prepare: Callable) -> None:
    source = Path("many")
    source.mkdir()
    landmarks = level_landmarks(250, 170, 140)
    annotation = "9 " + " ".join(map(str, landmarks))
    for index in range(300):
        _, encoded = cv2.imencode(".jpg", photo(landmarks, 500, 375, index))
        (source / f"{index:08d}_000.jpg").write_bytes(encoded.tobytes())
        (source / f"{index:08d}_000.jpg.cat").write_text(annotation)
    command = [sys.executable, "-c", "from rgan_bench.cli.prepare_cat import main; main()"]
    process = subprocess.Popen([*command, "--source", "many", "--out", "cat"], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while len(list(Path("cat").glob("128/*.png"))) < 20:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = len(list(Path("cat").glob("128/*.png")))
    assert done < 300
    assert all(cv2.imread(str(path)) is not None for path in Path("cat").glob("*/*.png"))
    assert prepare("--source", "many", "--out", "cat")[0] == 0
    prepare("--source", "many", "--out", "whole")
    assert contents(Path("cat")) == contents(Path("whole"))
    assert len(contents(Path("cat"))) == 2 * 300 + 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], r"--source: say where CAT's archives or folders are, or fetch them with --download"),
        (["--source", "nowhere"], r"--source nowhere: there is no such folder"),
        (["--source", "empty"], r"--source empty: no photos"),
        (["--source", "broken.zip"], r"--source broken\.zip: not a whole \.zip"),
        (["--source", "archives", "--sizes", "0"], r"--sizes 0: must be at least 1"),
        (["--source", "archives", "--workers", "0"], r"--workers 0: must be at least 1"),
        (["--source", "archives", "--workers", "1000000"], r"--workers 1000000: must be at most 1024"),
        (["--source", "x" * 300], r"--source x{300}: cannot be reached \(File name too long\)"),
        (["--source", "pipe"], r"--source pipe: there is no such folder or \.zip"),
        (["--source", "archives", "--out", "x" * 300], r"--out x{300}: cannot make it .* \(File name too long\)"),
        (
            ["--source", "archives", "--out", "archives/cat", "--format", "jpeg"],
            r"--out archives/cat: lies in --source",
        ),
        (["--download", "--source", "broken.zip"], r"--source broken\.zip: cannot make it .* \(File exists\)"),
        (
            ["--source", "archives", "--out", "broken.zip"],
            r"--out broken\.zip: cannot make it or write into it \(File exists\)",
        ),
    ],
)
def test_refusals(arguments: list[str], message: str, prepare: Callable) -> None:
    write_miniature(Path("archives"))
    Path("empty").mkdir()
    os.mkfifo("pipe")
    Path("broken.zip").write_bytes(b"PK\x03\x04 and no more")
    status, out, err = prepare(*arguments)
    assert status == 2
    assert out == ""
    assert re.match(rf"rgan-prepare-cat: error: {message}", err)
    assert err.count("\n") == 1


# --- faults -----------------------------------------------------------------------------------------------------------


def write_photo(
    path: Path, seed: int = 0, landmarks: list[float] | None = None, size: tuple[int, int] = (500, 375)
) -> None:
    """A photo of a face, and its annotation beside it."""
    landmarks = landmarks or level_landmarks(250, 170, 140)
    path.parent.mkdir(parents=True, exist_ok=True)
    _, encoded = cv2.imencode(".jpg", photo(landmarks, *size, seed))
    path.write_bytes(encoded.tobytes())
    path.with_name(path.name + ".cat").write_text("9 " + " ".join(map(str, landmarks)))


def details(out: Path) -> dict[str, str]:
    with (out / "report.csv").open(newline="") as file:
        return {row["photo"]: row["detail"] for row in csv.DictReader(file)}


def test_two_at_once_do_not_write_into_one_folder(prepare: Callable) -> None:
    """The second removed what the first was writing, and both ended in a traceback."""
    write_miniature(Path("archives"))
    Path("cat/64").mkdir(parents=True)
    half = Path("cat/64/.00000001_000.png.1.tmp")
    half.write_bytes(b"half of an image")
    with held(Path("cat/.lock")):
        status, out, err = prepare("--source", "archives", "--out", "cat")
    assert (status, out) == (2, "")
    assert re.fullmatch(r"rgan-prepare-cat: error: --out cat: process \d+ on \S+ is at work there; wait .*\n", err)
    assert contents(Path("cat")) == {"64/.00000001_000.png.1.tmp": b"half of an image"}
    assert prepare("--source", "archives", "--out", "cat")[0] == 0
    assert not half.exists()


def test_two_downloads_at_once_do_not_write_into_one_file(archive_org: dict, prepare: Callable) -> None:
    Path("fetched").mkdir()
    with held(Path("fetched/.lock")):
        status, _, err = prepare("--download", "--source", "fetched")
    assert status == 2
    assert "--source fetched: process" in err
    assert not archive_org["requests"]


@pytest.mark.parametrize(("write", "name"), [(3, r"00000001_005\.png"), (14, r"report\.csv")])
def test_a_full_disk_is_one_line_and_keeps_what_is_finished(
    write: int, name: str, prepare: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_miniature(Path("archives"))
    prepare("--source", "archives", "--out", "whole")
    writes = 0

    def fsync(descriptor: int) -> None:
        nonlocal writes
        if stat.S_ISREG(os.fstat(descriptor).st_mode):  # folders are flushed, too
            writes += 1
            if writes >= write:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        status, out, err = prepare("--source", "archives", "--out", "cat", "--workers", "1")
    assert (status, out) == (2, "")
    assert re.fullmatch(
        rf"rgan-prepare-cat: error: --out cat: cannot write {name} \(No space left on device\); .* files are kept\n",
        err,
    )
    assert len(contents(Path("cat"))) == write - 1  # and no half one
    assert contents(Path("cat")).items() <= contents(Path("whole")).items()
    assert prepare("--source", "archives", "--out", "cat")[0] == 0
    assert contents(Path("cat")) == contents(Path("whole"))


def test_photos_of_one_name_and_other_content_are_reported(prepare: Callable) -> None:
    """One of them was lost, or both wrote into one file: a.JPG and a.jpg, x/b.jpg and y/b.jpg."""
    for seed, name in enumerate(["photos/a.JPG", "photos/a.jpg", "photos/x/b.jpg", "photos/y/b.jpg", "photos/c.jpg"]):
        write_photo(Path(name), seed)
    status, out, _ = prepare("--source", "photos", "--out", "cat", "--sizes", "64")
    assert status == 0
    assert report(Path("cat")) == {
        "a.JPG": ("kept", "64"),
        "photos/a.jpg": ("duplicate", ""),
        "b.jpg": ("kept", "64"),
        "photos/y/b.jpg": ("duplicate", ""),
        "c.jpg": ("kept", "64"),
    }
    assert details(Path("cat"))["photos/y/b.jpg"] == "has other content; photos/x/b.jpg was used"
    assert re.search(r"photos: duplicate +2 *\n", out)
    assert sorted(path.name for path in Path("cat/64").iterdir()) == ["a.png", "b.png", "c.png"]
    first = contents(Path("cat"))
    assert prepare("--source", "photos", "--out", "cat", "--sizes", "64")[0] == 0
    assert contents(Path("cat")) == first


def test_the_same_photos_twice_count_once(prepare: Callable) -> None:
    """Unpacked and in their archive, once more with another case of letters; the one that can be read counts."""
    write_miniature(Path("archives"))
    for path in sorted(Path("archives").glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            archive.extractall("unpacked")
    for path in sorted(Path("unpacked").rglob("00000001_00*.jpg")):
        path.rename(path.with_suffix(".JPG"))
    gone = next(Path("unpacked").rglob("00000001_011.jpg"))
    gone.unlink()
    gone.symlink_to("/no/such/disk")
    prepare("--source", "archives", "--out", "one")
    status, out, _ = prepare("--source", "unpacked", "archives", "--out", "two")
    assert status == 0
    assert re.search(r"photos: duplicate +1 *\n", out)
    assert details(Path("two"))[str(gone)] == (
        f"cannot be read (a link to /no/such/disk, where nothing is); archives/{packed('00000001_011.jpg')} was used"
    )
    one, two = contents(Path("one")), contents(Path("two"))
    assert one.pop("report.csv") != two.pop("report.csv")
    assert one == two


def packed(name: str) -> str:
    """Where the miniature's archives hold a photo."""
    for path in sorted(Path("archives").glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                if member.endswith(f"/{name}"):
                    return f"{path.name}/{member}"
    raise AssertionError(name)


def test_an_annotation_that_another_contradicts_is_told(prepare: Callable) -> None:
    write_photo(Path("photos/x/a.jpg"))
    Path("photos/y").mkdir()
    Path("photos/y/a.jpg.cat").write_text("9 " + "1 " * 18)
    assert prepare("--source", "photos", "--out", "cat", "--sizes", "64")[0] == 0
    assert report(Path("cat")) == {"a.jpg": ("kept", "64")}
    assert details(Path("cat")) == {"a.jpg": "annotation photos/x/a.jpg.cat; photos/y/a.jpg.cat has other content"}


def test_names_that_no_file_can_have_do_not_stop_the_others(prepare: Callable) -> None:
    write_photo(Path("photos/a.jpg"))
    long = "x" * 300 + ".jpg"
    with zipfile.ZipFile("photos/more.zip", "w") as archive:
        for name in (long, "b.jpg"):
            archive.write("photos/a.jpg", name)
            archive.write("photos/a.jpg.cat", f"{name}.cat")
        archive.mkdir("folder.jpg")
    assert prepare("--source", "photos", "--out", "cat", "--sizes", "64")[0] == 0
    assert report(Path("cat")) == {"a.jpg": ("kept", "64"), "b.jpg": ("kept", "64"), long: ("bad name", "")}
    assert details(Path("cat"))[long] == "no file can have it here (File name too long)"


def test_names_that_are_no_text(prepare: Callable) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    write_photo(Path("photos") / name)
    assert prepare("--source", "photos", "--out", "cat", "--sizes", "64")[0] == 0
    assert list(report(Path("cat"))) == [r"caf\udce9.jpg"]
    assert [os.fsencode(path.name) for path in Path("cat/64").iterdir()] == [b"caf\xe9.png"]


def test_sources_with_links_and_folders_of_an_archive_s_name(prepare: Callable) -> None:
    write_photo(Path("photos/old.zip/a.jpg"))
    write_photo(Path("elsewhere/b.jpg"))
    Path("photos/linked").symlink_to("../elsewhere")
    Path("elsewhere/up").symlink_to("../photos")
    Path("photos/gone.jpg").symlink_to("/no/such/disk")
    Path("photos/gone.jpg.cat").write_text(Path("elsewhere/b.jpg.cat").read_text())
    Path("photos/notes.txt").symlink_to("/no/such/disk")
    assert prepare("--source", "photos", "--out", "cat", "--sizes", "64")[0] == 0
    kept = ("kept", "64")
    assert report(Path("cat")) == {"a.jpg": kept, "b.jpg": kept, "gone.jpg": ("unreadable", "")}
    assert details(Path("cat"))["gone.jpg"] == "a link to /no/such/disk, where nothing is"


@pytest.mark.parametrize("kind", ["a link", "no permission", "an archive"])
def test_folders_of_photos_that_cannot_be_looked_into_are_named(
    kind: str, prepare: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_photo(Path("photos/CAT_00/a.jpg"))
    what = r"the folder CAT_01 cannot be listed \(a link to /no/such/disk, where nothing is\), so its photos would be"
    if kind == "a link":
        Path("photos/CAT_01").symlink_to("/no/such/disk")
    elif kind == "no permission":
        closed(Path("photos/CAT_00"), monkeypatch)
        what = r"the folder CAT_00 cannot be listed \(Permission denied\)"
    else:
        Path("photos/CAT_01.zip").symlink_to("/no/such/disk")
        what = r"not a whole \.zip \(No such file or directory\)"
    status, out, err = prepare("--source", "photos", "--out", "cat")
    assert (status, out) == (2, "")
    assert re.fullmatch(rf"rgan-prepare-cat: error: --source photos\S*: {what}.*\n", err)
    assert not Path("cat").exists()


def test_photos_and_numbers_beyond_what_can_be_computed_do_not_stop_the_others(
    prepare: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    warp = cv2.warpAffine

    def warp_of_opencv_4(photo: np.ndarray, *arguments: Any, **options: Any) -> np.ndarray:
        if max(photo.shape) >= 32_767:  # OpenCV 5 takes longer sides
            raise cv2.error("(-215:Assertion failed)\n dst.cols < SHRT_MAX in function 'remap'")
        return warp(photo, *arguments, **options)

    monkeypatch.setattr(cv2, "warpAffine", warp_of_opencv_4)
    write_photo(Path("photos/a.jpg"))
    write_photo(Path("photos/wide.jpg"), landmarks=level_landmarks(250, 40, 70), size=(33_000, 80))
    write_photo(Path("photos/far.jpg"))
    Path("photos/far.jpg.cat").write_text("9 " + "1e308 " * 18)
    assert prepare("--source", "photos", "--out", "cat", "--sizes", "64")[0] == 0
    assert report(Path("cat")) == {
        "a.jpg": ("kept", "64"),
        "wide.jpg": ("unreadable", ""),
        "far.jpg": ("bad annotation", ""),
    }
    assert "SHRT_MAX" in details(Path("cat"))["wide.jpg"]


def test_only_temporary_files_of_its_own_are_removed(prepare: Callable) -> None:
    write_miniature(Path("archives"))
    Path("cat/64").mkdir(parents=True)
    Path("cat/64/.DS_Store").write_bytes(b"")  # a file manager's
    for name in ("cat/64/.00000001_000.png.1.tmp", "cat/.report.csv.1.tmp"):
        Path(name).write_bytes(b"half")
    assert prepare("--source", "archives", "--out", "cat")[0] == 0
    assert sorted(path.name for path in Path("cat").rglob(".*")) == [".DS_Store", ".lock"]
    Path("cat/64/mine.tmp").write_text("somebody's")
    status, _, err = prepare("--source", "archives", "--out", "cat")
    assert status == 2
    assert "holds 64/mine.tmp, which this run would not make" in err
    assert Path("cat/64/mine.tmp").exists()


# --- download ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def archive_org(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict]:
    """A server on this machine that knows ranges, and breaks off once in the middle of the first archive."""
    write_miniature(Path("published"))
    state: dict = {"requests": [], "break_off": {"CAT_DATASET_01.zip"}, "ranges": True}
    state["files"] = {path.name: path.read_bytes() for path in Path("published").iterdir()}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rsplit("/", 1)[-1]
            content, wanted = state["files"][name], self.headers.get("Range")
            state["requests"].append((name, wanted))
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and state["ranges"] else 0
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            if name in state["break_off"]:
                state["break_off"].discard(name)
                self.wfile.write(content[: len(content) // 3])
                return  # and the connection is closed
            self.wfile.write(content[start:])

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(download, "BASE_URL", f"http://127.0.0.1:{server.server_port}/download/CAT_DATASET/")
    yield state
    server.shutdown()


def test_download_resumes_where_it_broke_off(archive_org: dict, prepare: Callable) -> None:
    status, _, err = prepare("--download", "--source", "fetched", "--out", "cat")
    assert status == 0
    assert report(Path("cat")) == WANTED
    first = [wanted for name, wanted in archive_org["requests"] if name == "CAT_DATASET_01.zip"]
    third = len(archive_org["files"]["CAT_DATASET_01.zip"]) // 3
    assert first == [None, f"bytes={third}-"]
    assert contents(Path("fetched")) == archive_org["files"]
    assert "CAT_DATASET_01.zip: 100%" in err
    assert "B/s" in err
    requests = len(archive_org["requests"])
    assert prepare("--download", "--source", "fetched", "--out", "cat")[0] == 0
    assert len(archive_org["requests"]) == requests  # what is there is not fetched again


def test_download_goes_on_from_an_earlier_session(archive_org: dict) -> None:
    content = archive_org["files"]["CAT_DATASET_02.zip"]
    for part, wanted in ((content[:1000], "bytes=1000-"), (content, f"bytes={len(content)}-")):
        folder = Path(f"fetched-{len(part)}")
        folder.mkdir()
        (folder / "CAT_DATASET_02.zip.part").write_bytes(part)
        download.download(folder)
        assert ("CAT_DATASET_02.zip", wanted) in archive_org["requests"]
        assert contents(folder) == archive_org["files"]


def test_download_from_a_server_without_ranges(archive_org: dict) -> None:
    archive_org["ranges"] = False
    download.download(Path("fetched"))
    assert contents(Path("fetched")) == archive_org["files"]


def test_a_damaged_archive_is_noticed_and_removed(archive_org: dict) -> None:
    whole = archive_org["files"]["CAT_DATASET_02.zip"]
    middle = len(whole) // 2
    archive_org["files"]["CAT_DATASET_02.zip"] = whole[:middle] + bytes(50) + whole[middle + 50 :]
    with pytest.raises(UserError, match=r"CAT_DATASET_02\.zip arrived damaged .* call it again"):
        download.download(Path("fetched"))
    assert not list(Path("fetched").glob("CAT_DATASET_02*"))
    archive_org["files"]["CAT_DATASET_02.zip"] = whole
    download.download(Path("fetched"))
    assert contents(Path("fetched")) == archive_org["files"]


def test_a_server_that_speaks_something_else(monkeypatch: pytest.MonkeyPatch, prepare: Callable) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with contextlib.suppress(OSError):  # the end of the test
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(1000)
                        connection.sendall(b"220 what is it?\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        monkeypatch.setattr(download, "BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}/")
        status, _, err = prepare("--download", "--source", "fetched")
    assert status == 2
    assert "CAT_DATASET_01.zip (220 what is it?); call it again to resume" in err


def test_without_network(monkeypatch: pytest.MonkeyPatch, prepare: Callable) -> None:
    monkeypatch.setattr(download, "BASE_URL", "http://127.0.0.1:9/")
    status, _, err = prepare("--download", "--source", "fetched")
    assert status == 2
    assert "cannot get http://127.0.0.1:9/CAT_DATASET_01.zip" in err
    assert "put it into fetched" in err


# --- data=cat64 -------------------------------------------------------------------------------------------------------


def cat_config(root: object = "cat/64") -> Any:
    return data_config("cat64", root=str(root), image_size=64)


def test_faces_are_decoded_once(prepare: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    write_miniature(Path("archives"))
    prepare("--source", "archives", "--out", "cat")
    first = load_data(cat_config(), LIMITS)
    assert first.images.shape == (6, 3, 64, 64)
    wanted = cv2.cvtColor(cv2.imread("cat/64/00000001_000.png"), cv2.COLOR_BGR2RGB)
    assert np.array_equal(first.images[0].permute(1, 2, 0).numpy(), wanted)

    with monkeypatch.context() as patch:
        patch.setattr(cat_data, "load_images", lambda *args: pytest.fail("decoded once more"))
        again = load_data(cat_config(), LIMITS)
    assert torch.equal(first.images, again.images)
    assert first.fingerprint == again.fingerprint

    (Path("cat") / "64" / "00000001_000.png").unlink()
    assert len(load_data(cat_config(), LIMITS)) == 5  # a changed folder is noticed


def test_a_face_that_was_changed_at_equal_size_and_time_is_decoded_again(prepare: Callable) -> None:
    """Length and time of writing were all that was looked at: the old pixels came from the cache."""
    write_miniature(Path("archives"))
    prepare("--source", "archives", "--out", "cat", "--sizes", "64")
    face, other = Path("cat/64/00000001_000.png"), Path("cat/64/00000001_005.png")
    length = max(face.stat().st_size, other.stat().st_size)
    content = other.read_bytes()
    face.write_bytes(face.read_bytes().ljust(length, b"\0"))  # what follows a PNG's end is not read
    before = face.stat()
    assert not torch.equal(*load_data(cat_config(), LIMITS).images[:2])
    face.write_bytes(content.ljust(length, b"\0"))
    os.utime(face, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = face.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert torch.equal(*load_data(cat_config(), LIMITS).images[:2])


def test_a_link_that_leads_nowhere_is_named_among_the_faces(prepare: Callable) -> None:
    write_miniature(Path("archives"))
    prepare("--source", "archives", "--out", "cat", "--sizes", "64")
    Path("cat/64/gone.png").symlink_to("/no/such/disk")
    with pytest.raises(UserError, match=r"gone\.png cannot be read \(a link to /no/such/disk, .*\); remove it$"):
        load_data(cat_config(), LIMITS)


def test_faces_in_the_current_folder(prepare: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    write_miniature(Path("archives"))
    prepare("--source", "archives", "--out", "cat", "--sizes", "64")
    fingerprints = set()
    for place, root in (("cat/64", "."), ("cat/64", "../64/"), (".", "cat/64")):
        with monkeypatch.context() as patch:
            patch.chdir(place)
            fingerprints.add(load_data(cat_config(root), LIMITS).fingerprint)
    assert len(fingerprints) == 1
    assert sorted(path.name for path in Path("cat").glob("*")) == [".lock", "64", "report.csv"]


def test_a_missing_folder_names_the_command() -> None:
    message = r"data=cat64: there is no folder cat/64; make it with `rgan-prepare-cat .* --out cat`"
    with pytest.raises(UserError, match=message):
        load_data(cat_config(), LIMITS)


def test_photo_sizes_as_opencv_sees_them() -> None:
    from PIL import Image

    from rgan_bench.data.cat.prepare import photo_size

    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        buffer = io.BytesIO()
        Image.new("RGB", (40, 20)).save(buffer, "JPEG", exif=exif)
        decoded = cv2.imdecode(np.frombuffer(buffer.getvalue(), np.uint8), cv2.IMREAD_COLOR)
        assert photo_size(buffer.getvalue()) == decoded.shape[1::-1]
