"""Data config → images."""

from dataclasses import replace
from typing import Any

from torch import Tensor

from rgan_bench import register
from rgan_bench.config.schema import LimitsConfig
from rgan_bench.data.dataset import ImageDataset


def load_data(data: Any, limits: LimitsConfig) -> ImageDataset:
    """The images of a validated data config, on the CPU.

    Raises:
        UserError: the images are not there, not readable, cannot be downloaded, or are larger than the limits.
    """
    images: ImageDataset | Tensor = register.get("dataset", data.name)(data, limits)
    if isinstance(images, Tensor):  # a plugin need not know of more
        images = ImageDataset.from_images(data.name, f"data={data.name}", images)
    return replace(images, mirrored=data.flip)
