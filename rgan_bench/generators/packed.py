"""Many images onto the disk: a folder or .zip of PNGs, or one array in a .npz."""

import contextlib
import io
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image
from torch import Tensor

from rgan_bench.files import write_atomically

Batches = Iterable[Tensor]  # uint8 [B, 3, H, W] or points [B, 2], on the CPU


def write_folder(path: Path, batches: Batches, num: int, say: Callable[[str], None]) -> None:
    """PNGs named by their number, so that names sort. Images of before with such names are removed, once the first new
    one is there to be written.

    Args:
        say: is told how many there are, where not all of them could be written.

    Raises:
        OSError: no space, no permission; no file is half written.
    """
    written = 0
    try:
        for name, png in _pngs(batches, num):
            if not written:
                path.mkdir(parents=True, exist_ok=True)
                for before in path.glob("*.png"):
                    if re.fullmatch(r"\d{6,}", before.stem):
                        before.unlink()
            _write_whole(path / name, png)
            written += 1
    except BaseException:
        if written:
            say(f"{path}: holds {written:,} of {num:,} images")
        raise


def write_zip(path: Path, batches: Batches, num: int) -> None:
    """The same PNGs in one file, which from the same images has the same bytes.

    Raises:
        OSError: no space, no permission; `path` is as it was.
    """

    def write(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            for name, png in _pngs(batches, num):
                entry = zipfile.ZipInfo(name)  # of no date
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, png)

    write_atomically(path, write)


def write_npz(path: Path, batches: Batches, num: int) -> None:
    """One array `arr_0`: uint8 [num, H, W, 3], as the evaluation scripts of guided-diffusion read it; of points float32
    [num, 2]. Batch by batch, so that it need not fit the memory.

    Raises:
        OSError: no space, no permission; `path` is as it was.
    """

    def write(file: BinaryIO) -> None:
        entry = zipfile.ZipInfo("arr_0.npy")
        with zipfile.ZipFile(file, "w") as archive, archive.open(entry, "w", force_zip64=True) as member:
            for index, batch in enumerate(batches):
                values = _as_array(batch)
                if index == 0:
                    header = {"descr": values.dtype.str, "fortran_order": False, "shape": (num, *values.shape[1:])}
                    np.lib.format.write_array_header_1_0(member, header)
                member.write(values.tobytes())

    write_atomically(path, write)


def _as_array(batch: Tensor) -> np.ndarray:
    """Images [B, H, W, 3]; points [B, 2]."""
    return (batch.permute(0, 2, 3, 1) if batch.ndim == 4 else batch).contiguous().numpy()


def _pngs(batches: Batches, num: int) -> Iterator[tuple[str, bytes]]:
    digits = max(6, len(str(num - 1)))
    index = 0
    for batch in batches:
        for image in _as_array(batch):
            content = io.BytesIO()
            Image.fromarray(image).save(content, format="PNG")
            yield f"{index:0{digits}d}.png", content.getvalue()
            index += 1


def _write_whole(path: Path, content: bytes) -> None:
    """Or not at all. Not flushed one by one, which takes longer than to draw them."""
    try:
        path.write_bytes(content)
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        raise
