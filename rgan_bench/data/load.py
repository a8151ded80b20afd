"""Data config → images."""

from dataclasses import replace
from typing import Any

from torch import Tensor

from rgan_bench import register
from rgan_bench.config.schema import LimitsConfig
from rgan_bench.data.cache import Decoded
from rgan_bench.data.dataset import ImageDataset
from rgan_bench.data.signature import source_signature


def load_data(data: Any, limits: LimitsConfig, cache_dir: str | None = None) -> ImageDataset:
    """The images of a validated data config, on the CPU. Those that lie in files are decoded once, and kept.

    Args:
        cache_dir: where they are kept, as `fid.cache_dir` says it.

    Raises:
        UserError: the images are not there, not readable, cannot be downloaded, or are larger than the limits.
    """

    def read() -> ImageDataset:
        images: ImageDataset | Tensor = register.get("dataset", data.name)(data, limits)
        if isinstance(images, Tensor):  # a plugin need not know of more
            return ImageDataset.from_images(data.name, f"data={data.name}", images)
        return images

    signature = source_signature(data)  # before the files are read: what changes meanwhile is noticed
    images = read() if signature is None else Decoded(data, limits, signature, cache_dir).get(read)
    return replace(images, mirrored=data.flip, signature=signature)
