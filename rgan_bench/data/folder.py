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

from rgan_bench.data.dataset import ImageDataset
from rgan_bench.data.decode import EXTENSIONS, decode
from rgan_bench.errors import UserError, one_line

Reader = Callable[[str], bytes]


def load(data: Any) -> ImageDataset:
    """All images below `data.root`, in the order of their names.

    Raises:
        UserError: no such folder or archive, no images in it, or (data.on_corrupt=error) one that cannot be read.
    """
    return load_images(Path(data.root), data.image_size, skip_corrupt=data.on_corrupt == "skip")


def load_images(root: Path, size: int | None, *, skip_corrupt: bool = False, key: str = "data.root") -> ImageDataset:
    """The images below a folder or in a .zip as uint8 [N, 3, size, size].

    Args:
        root: the folder or archive.
        size: of the sides; None: the first image's shorter side.
        skip_corrupt: leave out what cannot be read, and count it, instead of refusing the whole.
        key: what an error message says was set to `root`.
    """
    if root.is_dir():
        names = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
        return _load_names(names, lambda name: (root / name).read_bytes(), root, size, skip_corrupt, key)
    if not root.is_file():
        raise UserError(f"{key}={root}: there is no such folder or file; give a folder or a .zip of images")
    try:
        with zipfile.ZipFile(root) as archive:
            names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
            return _load_names(names, archive.read, root, size, skip_corrupt, key)
    except zipfile.BadZipFile as error:
        raise UserError(f"{key}={root}: not a readable .zip ({one_line(error)}); give a folder or a .zip") from error


def _load_names(
    names: list[str], read: Reader, root: Path, size: int | None, skip_corrupt: bool, key: str
) -> ImageDataset:
    names = sorted(name for name in names if _is_image(name))
    if not names:
        wanted = ", ".join(extension.lstrip(".") for extension in EXTENSIONS)
        raise UserError(f"{key}={root}: holds no images ({wanted})")
    if size is None:
        size = min(_checked_decode(names[0], read, root, None, key).shape[1:])

    images = np.empty((len(names), 3, size, size), dtype=np.uint8)

    def work(index: int) -> bool:
        try:
            images[index] = _checked_decode(names[index], read, root, size, key)
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
        except UserError:
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


def _checked_decode(name: str, read: Reader, root: Path, size: int | None, key: str) -> np.ndarray:
    try:
        return decode(read(name), size)
    except Exception as error:  # Pillow raises many kinds on broken files
        reason = "not an image" if isinstance(error, UnidentifiedImageError) else one_line(error)
        raise UserError(
            f"{key}={root}: the image {name} cannot be read ({reason}); "
            "remove it, or set data.on_corrupt=skip to leave such files out"
        ) from error
