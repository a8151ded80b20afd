"""Data sets, one file a source. Each ends in one uint8 tensor [N, 3, size, size] and a fingerprint."""

from typing import Any

from rgan_bench.data import cat, cifar10, demo, folder
from rgan_bench.data.dataset import ImageDataset
from rgan_bench.schema import LimitsConfig

LOADERS = {"cifar10": cifar10.load, "folder": folder.load, "demo": demo.load}
LOADERS |= dict.fromkeys(("cat64", "cat128", "cat256"), cat.load)


def load_data(data: Any, limits: LimitsConfig) -> ImageDataset:
    """The images of a validated data config, on the CPU.

    Raises:
        UserError: the images are not there, not readable, cannot be downloaded, or are larger than the limits.
    """
    return LOADERS[data.name](data, limits)
