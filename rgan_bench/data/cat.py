"""The faces that rgan-prepare-cat made, kept decoded beside their folder so that the second start is instant."""

import contextlib
import hashlib
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rgan_bench.data.dataset import ImageDataset
from rgan_bench.data.folder import load_images
from rgan_bench.errors import UserError
from rgan_bench.files import write_atomically
from rgan_bench.schema import LimitsConfig


def load(data: Any, limits: LimitsConfig) -> ImageDataset:
    """All faces of one size, from the cache file where it still fits the folder.

    Raises:
        UserError: the folder is not there, or holds no images or unreadable ones.
    """
    root = Path(data.root)
    if not root.is_dir():
        raise UserError(
            f"data={data.name}: there is no folder {root}; make it with "
            f"`rgan-prepare-cat --source CAT_ARCHIVES --out {root.parent}`, or say where it is with data.root"
        )
    listing = listing_digest(root)
    cache = root.with_name(f"{root.name}.uint8.npz")
    images = _cached(cache, listing, data.image_size)
    if images is None:
        images = load_images(root, data.image_size, limits).images.numpy()
        with contextlib.suppress(OSError):  # a folder that cannot be written into costs time, nothing else
            write_atomically(cache, lambda file: np.savez(file, images=images, listing=listing))
    return ImageDataset.from_images(data.name, str(root), torch.from_numpy(images))


def listing_digest(root: Path) -> str:
    """Changes when a file is added, removed, renamed or written."""
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        status = path.stat()
        digest.update(f"{path.relative_to(root)} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _cached(cache: Path, listing: str, size: int) -> np.ndarray | None:
    try:
        with np.load(cache, allow_pickle=False) as saved:
            if str(saved["listing"]) != listing:
                return None
            images = saved["images"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    return images if images.dtype == np.uint8 and images.shape[1:] == (3, size, size) else None
