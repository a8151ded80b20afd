"""Every source ends in one uint8 tensor and a fingerprint."""

import errno
import hashlib
import io
import os
import pickle
import re
import struct
import subprocess
import sys
import tarfile
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import CIFAR10

from rgan_bench.config.validate import data_config
from rgan_bench.data import exact
from rgan_bench.data.dataset import ImageDataset
from rgan_bench.data.decode import decode
from rgan_bench.data.folder import load_images
from rgan_bench.data.load import load_data
from rgan_bench.errors import UserError
from rgan_bench.files import listing_digest
from scripts.fuzz import large_header
from tests.conftest import LIMITS, FileServer

PIXELS = LIMITS.image_pixels

RED, BLUE = (200, 30, 40), (20, 60, 210)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def folder_config(root: object, size: int = 32, on_corrupt: str = "error") -> Any:
    return data_config("folder", root=str(root), image_size=size, on_corrupt=on_corrupt)


# --- decoding ---------------------------------------------------------------------------------------------------------


def test_pixels_come_through_unchanged() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert np.array_equal(decode(encoded(Image.fromarray(pixels)), 32, PIXELS), pixels.transpose(2, 0, 1))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
def test_formats(kind: str) -> None:
    found = decode(encoded(Image.new("RGB", (32, 32), RED), kind), 32, PIXELS)
    assert found.shape == (3, 32, 32)
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - np.array(RED)[:, None, None]).max() <= 4


def test_modes_become_rgb() -> None:
    red = Image.new("RGB", (32, 32), RED)
    half = Image.new("RGBA", (32, 32), (*RED, 128))
    grey16 = Image.fromarray(np.full((32, 32), 0x8012, dtype=np.uint16))
    palette = red.convert("P", palette=Image.Palette.ADAPTIVE)
    cases = [
        (encoded(Image.new("L", (32, 32), 77)), (77, 77, 77)),
        (encoded(Image.new("1", (32, 32), 1)), (255, 255, 255)),
        (encoded(grey16), (0x80, 0x80, 0x80)),
        (encoded(palette), RED),
        (encoded(red.convert("CMYK"), "JPEG", quality=100), RED),
        (encoded(red.convert("RGBA")), RED),
        (encoded(half), tuple(round(c * 128 / 255 + 255 * 127 / 255) for c in RED)),  # laid on white
        (encoded(Image.new("LA", (32, 32), (50, 0))), (255, 255, 255)),
    ]
    for content, wanted in cases:
        found = decode(content, 32, PIXELS).astype(int)
        assert found.shape == (3, 32, 32)
        assert np.abs(found - np.array(wanted)[:, None, None]).max() <= 3, wanted


def test_other_sizes_are_centre_cropped() -> None:
    """A wide image with a red middle third: only the middle remains."""
    image = Image.new("RGB", (96, 32), BLUE)
    image.paste(RED, (32, 0, 64, 32))
    assert np.array_equal(
        decode(encoded(image), 32, PIXELS), np.broadcast_to(np.array(RED)[:, None, None], (3, 32, 32))
    )


def test_shrinking_antialiases() -> None:
    """A one-pixel chessboard averages to grey; picking pixels would give black or white."""
    board = (np.indices((128, 128)).sum(0) % 2 * 255).astype(np.uint8)
    found = decode(encoded(Image.fromarray(board)), 16, PIXELS).astype(int)
    assert np.abs(found - 127.5).max() < 12


def test_exif_orientation_is_honoured() -> None:
    image = Image.new("RGB", (32, 32), BLUE)
    image.paste(RED, (0, 0, 32, 16))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    turned = decode(encoded(image, "PNG", exif=exif), 32, PIXELS)
    assert tuple(turned[:, 0, 0]) == BLUE
    assert tuple(turned[:, 31, 0]) == RED


# --- folders and archives ---------------------------------------------------------------------------------------------


def write_images(root: Path, count: int = 5) -> None:
    for index in range(count):
        path = root / f"class_{index % 2}" / "deep" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(Image.new("RGB", (32, 32), (index * 40, 0, 0))))


def test_folder_and_zip_are_the_same_images(tmp_path: Path) -> None:
    root = tmp_path / "images"
    write_images(root)
    (root / "notes.txt").write_text("no image")
    (root / ".hidden.png").write_text("no image")
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for path in sorted(root.rglob("*"), reverse=True):  # order in the archive does not matter
            archive.write(path, path.relative_to(root))
        archive.writestr("__MACOSX/class_0/._0.png", b"no image")
    folder, packed = load_data(folder_config(root), LIMITS), load_data(folder_config(tmp_path / "images.zip"), LIMITS)
    assert folder.images.shape == (5, 3, 32, 32)
    assert folder.images[:, 0, 0, 0].tolist() == [0, 80, 160, 40, 120]  # in the order of the paths
    assert torch.equal(folder.images, packed.images)
    assert folder.fingerprint == packed.fingerprint


def test_a_corrupt_image_is_named_or_skipped(tmp_path: Path) -> None:
    root = tmp_path / "images"
    write_images(root)
    whole = encoded(Image.effect_noise((64, 64), 90), "JPEG")
    (root / "class_0" / "broken.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"class_0/broken\.jpg cannot be read .*data\.on_corrupt=skip"):
        load_data(folder_config(root), LIMITS)
    data = load_data(folder_config(root, on_corrupt="skip"), LIMITS)
    assert (len(data), data.skipped) == (5, 1)
    assert data.images[:, 0, 0, 0].tolist() == [0, 80, 160, 40, 120]


def test_what_holds_no_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("x")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_text("x")
    (tmp_path / "no.zip").write_bytes(b"PK no archive")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    for name, message in [
        ("nowhere", "there is no such folder or file"),
        ("empty", "holds no images"),
        ("text", "holds no images"),
        ("empty.zip", "holds no images"),
        ("no.zip", "not a readable .zip"),
    ]:
        with pytest.raises(UserError, match=rf"data\.root=.*{name}: {message}"):
            load_data(folder_config(tmp_path / name), LIMITS)
    with pytest.raises(UserError, match="none of its 1 images can be read"):
        load_data(folder_config(tmp_path / "broken", on_corrupt="skip"), LIMITS)


def test_size_of_the_first_image_where_none_is_given(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(Image.new("RGB", (40, 24), RED)))
    (tmp_path / "b.png").write_bytes(encoded(Image.new("RGB", (90, 90), RED)))
    assert load_images(tmp_path, None, LIMITS).images.shape == (2, 3, 24, 24)


def test_reading_that_takes_long_says_so_once_where_no_bar_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    write_images(tmp_path / "images")
    load_images(tmp_path / "images", 32, LIMITS)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("rgan_bench.data.folder.PATIENCE", -1)
    load_images(tmp_path / "images", 32, LIMITS)
    assert capsys.readouterr().err == "reading images: 1 of 5 images so far\n"


def test_real_photos(cifar10_jpeg: Path) -> None:
    data = load_data(folder_config(cifar10_jpeg / "cifar10-jpeg-test.zip"), LIMITS)
    assert data.images.shape == (10_000, 3, 32, 32)
    assert 115 < data.images.float().mean() < 130  # CIFAR-10's mean is 121
    assert 60 < data.images.float().std() < 70


# --- links, and folders that cannot be listed -------------------------------------------------------------------------


def test_links_to_folders_are_followed_and_each_folder_counts_once(tmp_path: Path) -> None:
    """20 images, ten of them behind a link: they were left out without a word."""
    root, elsewhere = tmp_path / "images", tmp_path / "elsewhere" / "deep"
    write_images(root, 10)
    write_images(elsewhere, 10)
    plain = load_data(folder_config(root), LIMITS)
    (root / "0_again").symlink_to("class_0")  # a second name for a folder, before its own in the order of names
    (root / "class_1" / "up").symlink_to("..")
    assert load_data(folder_config(root), LIMITS).fingerprint == plain.fingerprint
    (root / "linked").symlink_to(elsewhere.parent)
    (elsewhere / "class_0" / "back").symlink_to(root)
    (root / "linked_twice").symlink_to(elsewhere)
    (root / "class_0" / "one.png").symlink_to(elsewhere / "class_1" / "deep" / "9.png")  # a link to a file counts
    data = load_data(folder_config(root), LIMITS)
    assert len(data) == 21
    (tmp_path / "to_images").symlink_to(root)
    assert load_data(folder_config(tmp_path / "to_images"), LIMITS).fingerprint == data.fingerprint


def test_links_in_a_row_end_where_every_folder_links_to_every_other(tmp_path: Path) -> None:
    """Each name that needs a link would be another path: 12 folders, far more than a billion paths."""
    folders = [tmp_path / "images" / str(number) for number in range(12)]
    for folder in folders:
        write_images(folder, 1)
    for folder in folders:
        for other in folders:
            (folder / f"to_{other.name}").symlink_to(other)
    assert len(load_data(folder_config(tmp_path / "images"), LIMITS)) == 12


@pytest.mark.parametrize("link", ["class_0/gone.png", "class_2", "circle.png"])
def test_links_that_lead_nowhere_are_named_or_skipped(link: str, tmp_path: Path) -> None:
    """To an image, or to what may have been a folder of them, on a disk that is not there today."""
    root = tmp_path / "images"
    write_images(root)
    (root / "notes.txt").symlink_to("nothing to do with images")
    (root / "class_0" / ".#lock").symlink_to("an editor's")
    assert len(load_data(folder_config(root), LIMITS)) == 5
    (root / link).symlink_to(link if link == "circle.png" else "/no/such/disk")
    why = "Too many levels of symbolic links" if link == "circle.png" else "a link to /no/such/disk, where nothing is"
    what = rf"the folder {link} cannot be listed" if link == "class_2" else f"the image {link} cannot be read"
    with pytest.raises(UserError, match=rf"{what} \({why}\).*; .*remove it, or set data\.on_corrupt=skip"):
        load_data(folder_config(root), LIMITS)
    data = load_data(folder_config(root, on_corrupt="skip"), LIMITS)
    assert (len(data), data.skipped) == (5, 1)


def closed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a folder without permission answers, also to root, who tests may run as."""
    scandir = os.scandir

    def refusing(folder: str | Path = ".") -> Any:
        if Path(folder) == path:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refusing)


def test_a_folder_that_cannot_be_listed_is_named_or_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    root = tmp_path / "images"
    write_images(root)
    closed(root / "class_1", monkeypatch)
    what = r"images: the folder class_1 cannot be listed \(Permission denied\)"
    with pytest.raises(UserError, match=rf"{what}.*would be missing; .*remove it, or set data\.on_corrupt=skip"):
        load_data(folder_config(root), LIMITS)
    data = load_data(folder_config(root, on_corrupt="skip"), LIMITS)
    assert (len(data), data.skipped) == (3, 1)
    assert re.search(rf"{what}; going on without its images\n", capsys.readouterr().err)


def test_a_root_that_cannot_be_listed_is_refused_however(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(tmp_path / "images")
    closed(tmp_path / "images", monkeypatch)
    for on_corrupt in ("error", "skip"):
        with pytest.raises(UserError, match=r"images: cannot be listed \(Permission denied\)"):
            load_data(folder_config(tmp_path / "images", on_corrupt=on_corrupt), LIMITS)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anywhere")
def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    write_images(tmp_path / "images")
    (tmp_path / "images" / "class_1").chmod(0)
    try:
        with pytest.raises(UserError, match=r"the folder class_1 cannot be listed \(Permission denied\)"):
            load_data(folder_config(tmp_path / "images"), LIMITS)
        with pytest.raises(UserError, match=r"class_1/deep: cannot be reached \(Permission denied\)"):
            load_data(folder_config(tmp_path / "images" / "class_1" / "deep"), LIMITS)
        for root in (tmp_path / "images" / "class_1", tmp_path / "images" / "class_1" / "deep"):
            with pytest.raises(UserError, match=r"data=cifar10: .*Permission denied"):
                load_data(cifar10_config(root), LIMITS)
    finally:
        (tmp_path / "images" / "class_1").chmod(0o755)


def test_what_systems_put_between_images_is_not_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(tmp_path)
    for name in (".Trash-1000", "lost+found", "__MACOSX"):
        (tmp_path / name).mkdir()
    closed(tmp_path / "lost+found", monkeypatch)
    assert len(load_data(folder_config(tmp_path), LIMITS)) == 5


# --- listings ---------------------------------------------------------------------------------------------------------


def rewritten(path: Path) -> None:
    """Other content of the same length, and the old time of writing."""
    before = path.stat()
    time.sleep(0.02)  # a kernel's clock for ctime may tick only so often
    path.write_bytes(bytes(255 - byte for byte in path.read_bytes()))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(path: Path) -> None:
    """By a file of the same length and times that was renamed over it."""
    other = path.with_name("other")
    other.write_bytes(bytes(path.stat().st_size))
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize("change", [rewritten, replaced, Path.unlink, lambda path: path.rename(path.with_name("new"))])
def test_a_listing_sees_every_change(change: Callable[[Path], object], tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "images", tmp_path / "elsewhere"
    write_images(root)
    write_images(elsewhere)
    (root / "linked").symlink_to(elsewhere)
    (root / "gone.png").symlink_to("/no/such/disk")  # a traceback, once
    listings = {listing_digest(root), listing_digest(tmp_path / "images" / ".")}
    assert len(listings) == 1
    (root / ".thumbnails").write_text("what file managers do is no change")
    assert listing_digest(root) in listings
    for path in (root / "class_0" / "deep" / "0.png", elsewhere / "class_1" / "deep" / "1.png"):
        change(path)
        listings.add(listing_digest(root))
    assert len(listings) == 3


def test_a_listing_of_one_file(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"content")
    before = listing_digest(path)
    assert listing_digest(path) == before
    rewritten(path)
    assert listing_digest(path) != before


def test_a_listing_without_a_folder_that_cannot_be_listed_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_images(tmp_path)
    before = listing_digest(tmp_path)
    closed(tmp_path / "class_1", monkeypatch)
    assert listing_digest(tmp_path) != before


# --- names ------------------------------------------------------------------------------------------------------------


def test_names_of_all_kinds(tmp_path: Path) -> None:
    """Bytes that are no UTF-8, the longest that a file system takes, case alone, line breaks; a pipe is no image."""
    root = tmp_path / "images"
    root.mkdir()
    names = [b"caf\xe9.png", b"x" * 251 + b".png", b"a.png", b"a.PNG", b"A.png", b"two\nlines.png", b" .png"]
    for index, name in enumerate(names):
        (root / os.fsdecode(name)).write_bytes(encoded(Image.new("RGB", (32, 32), (index, 0, 0))))
    os.mkfifo(root / "pipe.png")
    (root / "folder.png").mkdir()
    data = load_data(folder_config(f"{root}/"), LIMITS)
    count = len(list(root.iterdir())) - 2  # fewer than names where case does not count
    assert len(set(data.images[:, 0, 0, 0].tolist())) == len(data) == count >= 5
    (root / os.fsdecode(b"caf\xe9.png")).write_bytes(b"broken")
    with pytest.raises(UserError, match=re.escape(os.fsdecode(b"the image caf\xe9.png cannot be read"))):
        load_data(folder_config(root), LIMITS)


def test_an_archive_by_way_of_a_link(tmp_path: Path) -> None:
    image = encoded(Image.new("RGB", (32, 32), RED))
    in_zip(tmp_path / "a.zip", {"x" * 300 + ".png": image, "a.png": image, "a.PNG": image})
    (tmp_path / "link").symlink_to("a.zip")
    assert len(load_data(folder_config(tmp_path / "link"), LIMITS)) == 3


def test_a_member_that_was_written_again_counts_once(tmp_path: Path) -> None:
    """As unpacking it would: the last one of a name."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        for colour in (BLUE, RED):
            archive.writestr("a.png", encoded(Image.new("RGB", (32, 32), colour)))
    data = load_data(folder_config(tmp_path / "a.zip"), LIMITS)
    assert data.images[:, :, 0, 0].tolist() == [list(RED)]


@pytest.mark.parametrize("root", ["x" * 300, "circle", "circle/deeper", "zero\0byte", "file/deeper", "pipe"])
def test_roots_that_lead_nowhere_are_one_line(root: str, tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "file").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe")
    for data in (folder_config(tmp_path / root), data_config("cat64", root=str(tmp_path / root), image_size=64)):
        with pytest.raises(UserError, match=r"there is no|cannot be reached"):
            load_data(data, LIMITS)


# --- hostile ----------------------------------------------------------------------------------------------------------


def in_zip(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_members_that_lead_out_of_the_folder_are_left_alone(tmp_path: Path) -> None:
    image = encoded(Image.new("RGB", (32, 32), RED))
    hostile = {"../out.png": image, "a/../../out.png": image, "/abs/in.png": image, "in.png": image}
    (tmp_path / "deep").mkdir()
    before = sorted(Path("/").iterdir())
    data = load_data(folder_config(in_zip(tmp_path / "deep" / "x.zip", hostile)), LIMITS)
    assert len(data) == 2  # read into memory, like any; those with .. are not even read
    (kept,) = (tmp_path / "cache").iterdir()
    assert sorted(path.name for path in tmp_path.rglob("*") if path != kept) == ["cache", "deep", "x.zip"]
    assert sorted(Path("/").iterdir()) == before


def test_a_member_that_unpacks_into_far_more_is_refused_unread(tmp_path: Path) -> None:
    bomb = in_zip(tmp_path / "bomb.zip", {"a.png": bytes(LIMITS.file_bytes + 1)})
    assert bomb.stat().st_size < 200_000
    tracemalloc.start()
    with pytest.raises(
        UserError, match=r"the image a\.png cannot be read \(larger than limits\.file_bytes=100000000\)"
    ):
        load_data(folder_config(bomb), LIMITS)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_a_member_that_is_longer_than_it_says_is_cut_and_named(tmp_path: Path) -> None:
    path = in_zip(tmp_path / "liar.zip", {"a.png": bytes(5_000_000)})
    content = path.read_bytes()
    assert content.count(struct.pack("<I", 5_000_000)) == 2  # in the member's header and in the directory
    path.write_bytes(content.replace(struct.pack("<I", 5_000_000), struct.pack("<I", 500)))
    with pytest.raises(UserError, match=r"the image a\.png cannot be read \(Bad CRC-32"):
        load_data(folder_config(path), LIMITS)


def test_encrypted_and_strangely_packed_members_are_named(tmp_path: Path) -> None:
    image = encoded(Image.new("RGB", (32, 32), RED))
    path = in_zip(tmp_path / "a.zip", {"a.png": image}, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    directory = content.index(b"PK\x01\x02")
    for at, value, reason in ((8, 1, "encrypted"), (10, 99, "compression")):
        changed = content.copy()
        changed[directory + at] = changed[at - 2] = value
        path.write_bytes(changed)
        with pytest.raises(UserError, match=rf"the image a\.png cannot be read \(.*{reason}"):
            load_data(folder_config(path), LIMITS)


@pytest.mark.parametrize("part", [0.3, 0.9, 0.999])
def test_truncated_archives_are_refused(part: float, tmp_path: Path) -> None:
    path = in_zip(tmp_path / "a.zip", {"a.png": encoded(Image.new("RGB", (32, 32), RED))})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    with pytest.raises(UserError, match=r"not a readable \.zip"):
        load_data(folder_config(path), LIMITS)


def test_an_enormous_header_is_refused_before_its_pixels_are_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(large_header())
    with pytest.raises(UserError, match=r"a\.png cannot be read \(.*50000|a\.png cannot be read \(.*2500000000"):
        load_data(folder_config(tmp_path), LIMITS)
    (tmp_path / "a.png").write_bytes(encoded(Image.new("1", (100, 101))))
    with pytest.raises(UserError, match=r"a\.png cannot be read \(100×101 pixels; limits\.image_pixels=10000 allows"):
        load_data(folder_config(tmp_path), replace(LIMITS, image_pixels=10_000))


def test_images_that_memory_cannot_hold_are_refused_before_it_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(Image.new("RGB", (32, 32), RED)))
    small = replace(LIMITS, dataset_bytes=3000)
    for data in (folder_config(tmp_path), demo_config(10**15)):
        limits = small if data.name == "folder" else LIMITS
        with pytest.raises(UserError, match=r"take [\d,]+ bytes of memory; limits\.dataset_bytes=\d+ allows fewer"):
            load_data(data, limits)


def test_content_decides_and_not_the_extension(tmp_path: Path) -> None:
    image = Image.new("RGB", (32, 32), RED)
    (tmp_path / "a.png").write_bytes(encoded(image, "BMP"))
    (tmp_path / "b.jpg").write_bytes(encoded(image, "GIF", save_all=True, append_images=[image.rotate(90)]))
    assert len(load_data(folder_config(tmp_path), LIMITS)) == 2
    (tmp_path / "c.png").write_bytes(encoded(image, "TIFF"))
    with pytest.raises(UserError, match=r"c\.png cannot be read \(not an image\)"):
        load_data(folder_config(tmp_path), LIMITS)


# --- demo -------------------------------------------------------------------------------------------------------------


def demo_config(count: int = 300, size: int = 32, seed: int = 0) -> Any:
    return data_config("demo", image_size=size, num_images=count, data_seed=seed)


def test_demo_is_drawn_from_its_seed() -> None:
    first, again, other = (
        load_data(demo_config(), LIMITS),
        load_data(demo_config(), LIMITS),
        load_data(demo_config(seed=1), LIMITS),
    )
    assert first.images.shape == (300, 3, 32, 32)
    assert torch.equal(first.images, again.images)
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_demo_images_are_varied_and_antialiased() -> None:
    images = load_data(demo_config(), LIMITS).images.float()
    assert images.std(dim=0).min() > 20  # every pixel varies over the set
    assert images.flatten(1).std(dim=1).min() > 5  # no image is one colour
    assert len({image.numpy().tobytes() for image in images}) == 300


def test_demo_in_other_sizes() -> None:
    assert load_data(demo_config(10, 64), LIMITS).images.shape == (10, 3, 64, 64)
    assert load_data(demo_config(2, 300), LIMITS).images.shape == (2, 3, 300, 300)  # one is more than a group's pixels


DEMO_FINGERPRINT = "94aa8ce8c613a5e1"  # of 300 images of 32×32 from data_seed 0, on any machine


def test_demo_images_are_pinned() -> None:
    assert load_data(demo_config(), LIMITS).fingerprint == DEMO_FINGERPRINT
    shapes = load_data(data_config("shapes", num_images=300), LIMITS)
    assert (shapes.name, shapes.fingerprint) == ("shapes", "dd49b65288b7f763")


def test_demo_images_do_not_depend_on_the_processor() -> None:
    """Without the wide registers that this one has, PyTorch and NumPy compute as they would on an older one."""
    from numpy._core import _multiarray_umath as numpy_core

    wide = [name for name in numpy_core.__cpu_dispatch__ if numpy_core.__cpu_features__[name]]
    if not wide and torch.backends.cpu.get_cpu_capability() == "DEFAULT":
        pytest.skip("this processor has nothing to be switched off")
    code = (
        "import torch; from tests.data.test_data import LIMITS, demo_config, load_data; "
        "print(torch.backends.cpu.get_cpu_capability(), load_data(demo_config(), LIMITS).fingerprint)"
    )
    root = Path(__file__).resolve().parent.parent.parent
    environment = os.environ | {"ATEN_CPU_CAPABILITY": "default", "NPY_DISABLE_CPU_FEATURES": " ".join(wide)}
    environment["PYTHONPATH"] = str(root)
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["DEFAULT", DEMO_FINGERPRINT], run.stderr


def test_the_sine_is_the_sine() -> None:
    turns = np.linspace(-4, 4, 100_001)
    assert np.abs(exact.sine(turns) - np.sin(2 * np.pi * turns)).max() < 1e-11
    assert np.abs(exact.cosine(turns) - np.cos(2 * np.pi * turns)).max() < 1e-11


# --- CIFAR-10 ---------------------------------------------------------------------------------------------------------


def cifar10_archive(pixels: np.ndarray) -> bytes:
    """Ten images a file, six files, and the names of classes: the layout of cifar-10-python.tar.gz."""
    names = [*(f"data_batch_{index}" for index in range(1, 6)), "test_batch"]
    files = {
        name: pickle.dumps({"data": pixels[10 * i : 10 * i + 10].reshape(10, -1), "labels": [0] * 10})
        for i, name in enumerate(names)
    }
    files["batches.meta"] = pickle.dumps({"label_names": ["airplane"]})
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    checksums = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    cifar10_archive.checksums = checksums
    return buffer.getvalue()


CIFAR_PIXELS = np.random.default_rng(0).integers(0, 256, (60, 3, 32, 32), dtype=np.uint8)  # 50 to train on


@pytest.fixture
def cifar10_server(file_server: FileServer, monkeypatch: pytest.MonkeyPatch) -> FileServer:
    """A server on this machine with a small archive of the original's layout, and torchvision pointed at it."""
    archive = file_server.content = cifar10_archive(CIFAR_PIXELS)
    sums = cifar10_archive.checksums
    monkeypatch.setattr(CIFAR10, "url", f"{file_server.url}/cifar-10-python.tar.gz")
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(archive).hexdigest())
    monkeypatch.setattr(CIFAR10, "train_list", [[f"data_batch_{i}", sums[f"data_batch_{i}"]] for i in range(1, 6)])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": sums["batches.meta"]})
    return file_server


def cifar10_config(root: Path) -> Any:
    return data_config("cifar10", root=str(root), image_size=32)


def test_cifar10_is_downloaded_once(cifar10_server: FileServer, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    first = load_data(cifar10_config(tmp_path / "data"), LIMITS)
    assert np.array_equal(first.images.numpy(), CIFAR_PIXELS[:50])
    requests = len(cifar10_server.requests)
    again = load_data(cifar10_config(tmp_path / "data"), LIMITS)
    assert len(cifar10_server.requests) == requests > 0
    assert first.fingerprint == again.fingerprint
    assert capfd.readouterr().out == ""


def test_cifar10_archive_laid_there_by_hand(cifar10_server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(cifar10_server.content)
    assert len(load_data(cifar10_config(tmp_path), LIMITS)) == 50
    assert cifar10_server.requests == []


def test_cifar10_that_fails_its_check_is_refused(cifar10_server: FileServer, tmp_path: Path) -> None:
    cifar10_server.content = cifar10_server.content[:-20] + bytes(20)
    with pytest.raises(UserError, match=r"data=cifar10: cannot get the images .*corrupted"):
        load_data(cifar10_config(tmp_path / "data"), LIMITS)


def test_cifar10_without_network_says_which_file_to_put_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CIFAR10, "url", "http://127.0.0.1:9/cifar-10-python.tar.gz")  # nobody listens there
    root = tmp_path / "data"
    with pytest.raises(UserError, match=rf"put the file cifar-10-python\.tar\.gz into {root}"):
        load_data(cifar10_config(root), LIMITS)
    assert not root.exists()


@pytest.mark.parametrize(
    ("root", "message"),
    [
        ("file", r"data\.root=\S*file is a file; give the folder that holds cifar-10-python\.tar\.gz"),
        ("file/deeper", "Not a directory"),
        ("x" * 300, "File name too long"),
        ("circle", "Too many levels of symbolic links"),
        ("zero\0byte", "null byte"),
        ("damaged", r"cifar-10-python\.tar\.gz is there, but damaged: .*Connection refused"),
    ],
)
def test_cifar10_roots_that_cannot_be_used(
    root: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CIFAR10, "url", "http://127.0.0.1:9/cifar-10-python.tar.gz")
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "cifar-10-python.tar.gz").write_bytes(b"half of it")
    with pytest.raises(UserError, match=rf"data=cifar10: .*{message}"):
        load_data(cifar10_config(tmp_path / root), LIMITS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["circle", "damaged", "file"]


# --- the tensor -------------------------------------------------------------------------------------------------------


def test_batches_are_normalised_and_channels_last() -> None:
    images = torch.arange(256, dtype=torch.uint8).repeat(3).view(1, 3, 16, 16).repeat(4, 1, 1, 1)
    images[2] = 255
    batch = ImageDataset.from_images("x", "x", images).batch(torch.tensor([2, 0]))
    assert batch.shape == (2, 3, 16, 16)
    assert batch.dtype == torch.float32
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert (batch[0] == 1).all()
    torch.testing.assert_close(batch[1, 0].flatten(), torch.linspace(-1, 1, 256))


def test_fingerprints_see_every_pixel_and_the_shape() -> None:
    images = torch.zeros(4, 3, 8, 8, dtype=torch.uint8)
    changed = images.clone()
    changed[3, 2, 7, 7] = 1
    prints = {ImageDataset.from_images("x", "x", i).fingerprint for i in (images, changed, images.view(1, 3, 16, 16))}
    assert len(prints) == 3


def test_other_tensors_are_refused() -> None:
    with pytest.raises(ValueError, match="uint8"):
        ImageDataset.from_images("x", "x", torch.zeros(4, 3, 8, 8))


def test_mirrored_images_follow_the_others() -> None:
    data = load_data(demo_config(count=5), LIMITS)
    both = load_data(data_config("demo", image_size=32, num_images=5, data_seed=0, flip=True), LIMITS)
    assert torch.equal(both.images, data.images)
    assert both.fingerprint == data.fingerprint  # scores are against the same images
    batch = both.batch(torch.tensor([3, 5 + 3, 0]))
    assert torch.equal(batch[0], data.batch(torch.tensor([3]))[0])
    assert torch.equal(batch[1], batch[0].flip(-1))
    assert not torch.equal(batch[1], batch[0])
    assert torch.equal(batch[2], data.batch(torch.tensor([0]))[0])
