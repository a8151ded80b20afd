"""Images that lie in files are decoded once: 50,000 JPEGs take eight seconds, and every cell of a sweep needs them.

A source has one file, `images-….npz`, in the folder that statistics of real images are kept in, too. It is made anew
where it is damaged, or anything that decides the pixels has changed since.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
from PIL import features

from rgan_bench.config.schema import LimitsConfig
from rgan_bench.console import say
from rgan_bench.data.dataset import ImageDataset
from rgan_bench.data.decode import VERSION
from rgan_bench.errors import UserError, one_line
from rgan_bench.files import in_words, reason, write_atomically

BOUND = 8 * 10**9  # bytes of all such files together: those unused for longest go


def cache_folder(cache_dir: str | None, say: Callable[[str], None] = lambda text: None) -> Path:
    """fid.cache_dir, else RGAN_BENCH_CACHE, else in the home folder, else, which is said, among temporary files.

    Raises:
        UserError: the first two name a home folder that there is none of.
    """
    in_environment = os.environ.get("RGAN_BENCH_CACHE")
    chosen = cache_dir or in_environment
    try:
        return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "rgan_bench"
    except RuntimeError as error:  # HOME is not set, and nobody knows the user: as containers run with any number
        if chosen:
            key = "fid.cache_dir" if cache_dir else "RGAN_BENCH_CACHE"
            raise UserError(f"{key}={chosen}: {one_line(error)}; give a path without ~") from error
    folder = Path(tempfile.gettempdir()) / f"rgan_bench-{os.getuid() if hasattr(os, 'getuid') else 0}"
    say(f"no home folder: real images' statistics are kept in {folder} (fid.cache_dir=PATH chooses another place)")
    return folder


class Decoded:
    """What a source held, once it was decoded."""

    def __init__(self, data: Any, limits: LimitsConfig, signature: str, cache_dir: str | None) -> None:
        """
        Args:
            data: a validated data config, which has a `root`.
            signature: of its files, as they are now.

        Raises:
            UserError: as `cache_folder`.
        """
        self.data = data
        settings = asdict(data) | {"root": str(Path(data.root).resolve())}
        for name in ("flip", "on_corrupt"):  # change no pixel: see `get`
            settings.pop(name, None)
        source = json.dumps(settings, sort_keys=True)
        self.path = cache_folder(cache_dir) / f"images-{hashlib.sha256(source.encode()).hexdigest()[:16]}.npz"
        # The limits, so that what they refuse is refused whether it was decoded under others or not.
        decoder = [VERSION, PIL.__version__, features.version("libjpeg_turbo"), features.version("webp")]
        self.key = json.dumps([source, signature, asdict(limits), decoder])

    def get(self, read: Callable[[], ImageDataset]) -> ImageDataset:
        """The images as they were kept; else `read`, and kept.

        A set of which something had to be left out is never kept: tomorrow it may be readable.
        """
        found = self.kept()
        if found is None:
            found = read()
            if not found.skipped:
                self.keep(found)
        return found

    def kept(self) -> ImageDataset | None:
        """None where nothing is, or nothing sound, or what has changed since."""
        try:
            with np.load(self.path, allow_pickle=False) as saved:
                if str(saved["key"]) != self.key:
                    return None
                images, fingerprint = torch.from_numpy(saved["images"]), str(saved["fingerprint"])
            found = ImageDataset.from_images(self.data.name, str(Path(self.data.root)), images)
        except Exception:  # whatever numpy and zipfile may stumble over in a damaged file
            return None
        if found.fingerprint != fingerprint:
            return None
        with contextlib.suppress(OSError):
            os.utime(self.path)  # used just now
        return found

    def keep(self, images: ImageDataset) -> None:
        """For the next run. What does not work out costs time, nothing else, and is said."""
        size = images.images.nbytes
        try:
            if self.path.resolve().is_relative_to(Path(self.data.root).resolve()):
                raise OSError("it lies among the images, and would change what they are known by")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.make_room(size)
            # Any, since to a checker an array might be meant for np.savez's own options.
            told: dict[str, Any] = {"key": self.key, "fingerprint": images.fingerprint}
            write_atomically(self.path, lambda file: np.savez(file, images=images.images.numpy(), **told))
        except OSError as error:
            say(f"{images.source}: cannot be kept decoded in {self.path.parent} ({reason(error)})")
        else:
            say(f"{images.source}: kept decoded for the next run, {in_words(size)} in {self.path}")

    def make_room(self, size: int) -> None:
        """
        Raises:
            OSError: there is none for so many bytes; nothing is removed then.
        """
        folder = self.path.parent
        if size > BOUND or size > shutil.disk_usage(folder).free / 2:
            raise OSError(f"{in_words(size)} are over its bound of {in_words(BOUND)}, or half of what is free")
        # Half-written ones of processes that were killed count, and go, too.
        there = [path for path in folder.glob("*images-*") if path != self.path]
        for path in sorted(there, key=lambda path: path.stat().st_mtime, reverse=True):
            size += path.stat().st_size
            if size > BOUND:
                path.unlink(missing_ok=True)
