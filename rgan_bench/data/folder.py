"""A folder or a .zip of images, any depth."""

import os
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from PIL import UnidentifiedImageError
from tqdm import tqdm

from rgan_bench.config.schema import LimitsConfig
from rgan_bench.console import say
from rgan_bench.data.dataset import ImageDataset, check_room
from rgan_bench.data.decode import EXTENSIONS, decode
from rgan_bench.errors import UserError
from rgan_bench.files import is_folder, is_hidden, names_below, read_below, read_member, reason
from rgan_bench.register import dataset

PATIENCE = 3.0  # seconds
Reader = Callable[[str], bytes]  # name → content; what is larger than limits.file_bytes is refused unread


@dataset("folder")
def load(data: Any, limits: LimitsConfig) -> ImageDataset:
    """All images below `data.root`, in the order of their names.

    Raises:
        UserError: no such folder or archive, no images in it, or (data.on_corrupt=error) one that cannot be read, or a
            folder below it that cannot be listed.
    """
    or_else = ", or set data.on_corrupt=skip to leave such ones out"
    return load_images(
        Path(data.root), data.image_size, limits, skip_corrupt=data.on_corrupt == "skip", or_else=or_else
    )


def load_images(
    root: Path,
    size: int | None,
    limits: LimitsConfig,
    *,
    skip_corrupt: bool = False,
    key: str = "data.root",
    or_else: str = "",
) -> ImageDataset:
    """The images below a folder or in a .zip as uint8 [N, 3, size, size].

    Args:
        root: the folder or archive.
        size: of the sides; None: the first image's shorter side.
        skip_corrupt: leave out what cannot be read, and count it, instead of refusing the whole.
        key: what an error message says was set to `root`.
        or_else: what it adds to the remedy.
    """
    request = _Request(root, size, limits, skip_corrupt, f"{key}={root}", or_else)
    try:
        folder = is_folder(root)
    except OSError as error:
        raise UserError(f"{key}={root}: cannot be reached ({reason(error)}); give a folder or a .zip") from error
    if folder:
        return request.from_folder()
    if not root.is_file():
        raise UserError(f"{key}={root}: there is no such folder or file; give a folder or a .zip of images")
    return request.from_archive()


@dataclass(frozen=True)
class _Request:
    """The arguments of load_images; `what` is how its errors begin."""

    root: Path
    size: int | None
    limits: LimitsConfig
    skip_corrupt: bool
    what: str
    or_else: str

    def from_folder(self) -> ImageDataset:
        unlisted = 0

        def without(name: str, error: OSError) -> None:
            nonlocal unlisted
            if not name:
                raise UserError(f"{self.what}: cannot be listed ({reason(error)}); give a folder or a .zip") from error
            problem = f"{self.what}: the folder {name} cannot be listed ({reason(error)})"
            if not self.skip_corrupt:
                raise UserError(
                    f"{problem}, so its images would be missing; mend it, or remove it{self.or_else}"
                ) from error
            say(f"{problem}; going on without its images")
            unlisted += 1

        names = [name for name in names_below(self.root, without) if _is_image(name)]
        return self.read(names, lambda name: read_below(self.root, name, self.limits.file_bytes), unlisted)

    def from_archive(self) -> ImageDataset:
        try:
            archive = zipfile.ZipFile(self.root)
            names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
        except Exception as error:  # what the directory of a broken archive says can fail in many ways
            raise UserError(f"{self.what}: not a readable .zip ({reason(error)}); give a folder or a .zip") from error
        names = [name for name in names if _is_image(name)]
        with archive:  # members are unpacked one by one into memory, never written: their names are only names
            return self.read(names, lambda name: read_member(archive, name, self.limits.file_bytes))

    def read(self, names: Iterable[str], read: Reader, skipped: int = 0) -> ImageDataset:
        """
        Args:
            skipped: how many folders are left out already.
        """
        names = sorted(set(names))  # an archive that was written into again holds the old and the new under one name
        if not names:
            wanted = ", ".join(extension.lstrip(".") for extension in EXTENSIONS)
            raise UserError(f"{self.what}: holds no images ({wanted})")
        size = self.size or min(self.decoded(names[0], None, read).shape[1:])
        check_room(len(names), size, self.limits, self.what)
        images = np.empty((len(names), 3, size, size), dtype=np.uint8)

        def work(index: int) -> bool:
            try:
                images[index] = self.decoded(names[index], size, read)
            except UserError:
                if not self.skip_corrupt:
                    raise
                return False
            return True

        # Pillow decodes without holding Python's lock, so threads use all cores.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            done = pool.map(work, range(len(names)))
            try:
                readable = np.fromiter(_shown(done, len(names), f"reading {self.root.name}"), bool, len(names))
            except BaseException:  # an image that is refused, or Ctrl-C: not to wait for all the others
                pool.shutdown(cancel_futures=True)
                raise
        if not readable.any():
            raise UserError(f"{self.what}: none of its {len(names)} images can be read")
        kept = torch.from_numpy(images if readable.all() else images[readable])
        return ImageDataset.from_images("folder", str(self.root), kept, skipped=len(names) - len(kept) + skipped)

    def decoded(self, name: str, size: int | None, read: Reader) -> np.ndarray:
        try:
            return decode(read(name), size, self.limits.image_pixels)
        except Exception as error:  # Pillow and zipfile raise many kinds on broken files
            why = "not an image" if isinstance(error, UnidentifiedImageError) else reason(error)
            raise UserError(f"{self.what}: the image {name} cannot be read ({why}); remove it{self.or_else}") from error


def _shown(done: Iterable[bool], total: int, title: str) -> Iterator[bool]:
    """Passes them through: with a bar on a terminal; elsewhere a line says so where it takes long."""
    began, told = time.perf_counter(), sys.stderr.isatty()
    for number, each in enumerate(tqdm(done, total=total, desc=title, unit="img", disable=None, leave=False), 1):
        if not told and time.perf_counter() - began > PATIENCE:
            told = True
            say(f"{title}: {number:,} of {total:,} images so far")
        yield each


def _is_image(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in EXTENSIONS and not any(map(is_hidden, path.parts))
