"""A folder or a .zip of images, any depth."""

import os
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from PIL import UnidentifiedImageError
from tqdm import tqdm

from rgan_bench.data.dataset import ImageDataset, check_room
from rgan_bench.data.decode import EXTENSIONS, decode
from rgan_bench.errors import UserError, one_line
from rgan_bench.files import read_bounded, read_member
from rgan_bench.schema import LimitsConfig

Reader = Callable[[str], bytes]  # name → content; what is larger than limits.file_bytes is refused unread


def load(data: Any, limits: LimitsConfig) -> ImageDataset:
    """All images below `data.root`, in the order of their names.

    Raises:
        UserError: no such folder or archive, no images in it, or (data.on_corrupt=error) one that cannot be read.
    """
    return load_images(Path(data.root), data.image_size, limits, skip_corrupt=data.on_corrupt == "skip")


def load_images(
    root: Path, size: int | None, limits: LimitsConfig, *, skip_corrupt: bool = False, key: str = "data.root"
) -> ImageDataset:
    """The images below a folder or in a .zip as uint8 [N, 3, size, size].

    Args:
        root: the folder or archive.
        size: of the sides; None: the first image's shorter side.
        skip_corrupt: leave out what cannot be read, and count it, instead of refusing the whole.
        key: what an error message says was set to `root`.
    """
    if root.is_dir():
        names = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
        return _load_names(
            names, lambda name: read_bounded(root / name, limits.file_bytes), root, size, limits, skip_corrupt, key
        )
    if not root.is_file():
        raise UserError(f"{key}={root}: there is no such folder or file; give a folder or a .zip of images")
    try:
        archive = zipfile.ZipFile(root)
        names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
    except Exception as error:  # what the directory of a broken archive says can fail in many ways
        raise UserError(f"{key}={root}: not a readable .zip ({one_line(error)}); give a folder or a .zip") from error
    with archive:  # members are unpacked one by one into memory, and never written anywhere: their names are only names
        return _load_names(
            names, lambda name: read_member(archive, name, limits.file_bytes), root, size, limits, skip_corrupt, key
        )


def _load_names(
    names: list[str], read: Reader, root: Path, size: int | None, limits: LimitsConfig, skip_corrupt: bool, key: str
) -> ImageDataset:
    names = sorted(name for name in names if _is_image(name))
    if not names:
        wanted = ", ".join(extension.lstrip(".") for extension in EXTENSIONS)
        raise UserError(f"{key}={root}: holds no images ({wanted})")

    def checked_decode(name: str, size: int | None) -> np.ndarray:
        try:
            return decode(read(name), size, limits.image_pixels)
        except Exception as error:  # Pillow and zipfile raise many kinds on broken files
            reason = "not an image" if isinstance(error, UnidentifiedImageError) else one_line(error)
            raise UserError(
                f"{key}={root}: the image {name} cannot be read ({reason or type(error).__name__}); "
                "remove it, or set data.on_corrupt=skip to leave such files out"
            ) from error

    if size is None:
        size = min(checked_decode(names[0], None).shape[1:])
    check_room(len(names), size, limits, f"{key}={root}")
    images = np.empty((len(names), 3, size, size), dtype=np.uint8)

    def work(index: int) -> bool:
        try:
            images[index] = checked_decode(names[index], size)
        except UserError:
            if not skip_corrupt:
                raise
            return False
        return True

    # Pillow decodes without holding Python's lock, so threads use all cores.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done = pool.map(work, range(len(names)))
        progress = tqdm(done, total=len(names), desc=f"reading {root.name}", unit="img", disable=None, leave=False)
        try:
            readable = np.fromiter(progress, dtype=bool, count=len(names))
        except BaseException:  # an image that is refused, or Ctrl-C: not to wait for all the others
            pool.shutdown(cancel_futures=True)
            raise
    if not readable.any():
        raise UserError(f"{key}={root}: none of its {len(names)} images can be read")
    kept = torch.from_numpy(images if readable.all() else images[readable])
    return ImageDataset.from_images("folder", str(root), kept, skipped=len(names) - len(kept))


def _is_image(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return path.suffix.lower() in EXTENSIONS and not hidden
