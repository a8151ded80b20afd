"""The faces that rgan-prepare-cat made, kept decoded beside their folder so that the second start is instant."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rgan_bench.data.dataset import ImageDataset
from rgan_bench.data.folder import load_images
from rgan_bench.errors import UserError
from rgan_bench.files import is_folder, listing_digest, reason, write_atomically
from rgan_bench.schema import LimitsConfig


def load(data: Any, limits: LimitsConfig) -> ImageDataset:
    """All faces of one size, from the cache file where it still fits the folder.

    Raises:
        UserError: the folder is not there, or holds no images or unreadable ones.
    """
    root = Path(data.root)
    try:
        folder = is_folder(root)
        listing = listing_digest(root) if folder else ""
    except OSError as error:
        raise UserError(f"data={data.name}: data.root={root} cannot be reached ({reason(error)})") from error
    if not folder:
        raise UserError(
            f"data={data.name}: there is no folder {root}; make it with "
            f"`rgan-prepare-cat --source CAT_ARCHIVES --out {root.parent}`, or say where it is with data.root"
        )
    place = root if root.name not in ("", "..") else root.resolve()  # the current folder has a name, too
    cache = place.parent / f"{place.name}.uint8.npz"
    images = _cached(cache, listing, data.image_size)
    if images is None:
        images = load_images(root, data.image_size, limits).images.numpy()
        with contextlib.suppress(OSError):  # a folder that cannot be written into costs time, nothing else
            write_atomically(cache, lambda file: np.savez(file, images=images, listing=listing))
    return ImageDataset.from_images(data.name, str(root), torch.from_numpy(images))


def _cached(cache: Path, listing: str, size: int) -> np.ndarray | None:
    try:
        with np.load(cache, allow_pickle=False) as saved:
            if str(saved["listing"]) != listing:
                return None
            images = saved["images"]
    except Exception:  # not there, or damaged: NumPy and zipfile raise many kinds
        return None
    return images if images.dtype == np.uint8 and images.shape[1:] == (3, size, size) else None
