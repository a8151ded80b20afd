"""CIFAR-10's 50,000 training images (Krizhevsky 2009), through torchvision, which downloads and checks them."""

import contextlib
import io
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torchvision.datasets import CIFAR10

from rgan_bench.data.dataset import ImageDataset
from rgan_bench.errors import UserError, one_line
from rgan_bench.schema import LimitsConfig


def load(data: Any, limits: LimitsConfig) -> ImageDataset:
    """All training images, without flips or other augmentation, as the paper used them.

    Raises:
        UserError: they are neither there nor downloadable, or do not pass torchvision's check.
    """
    root = Path(data.root)
    made = not root.exists()
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # torchvision reports in prints
            dataset = CIFAR10(str(root), train=True, download=True)
    except (URLError, OSError, RuntimeError) as error:
        if made:
            with contextlib.suppress(OSError):
                root.rmdir()  # of no use if empty
        raise UserError(
            f"data=cifar10: cannot get the images ({one_line(error)}); download {CIFAR10.url} elsewhere and put the "
            f"file {CIFAR10.filename} into {root.resolve()}, or set data.root to the folder that holds it"
        ) from error
    images = torch.from_numpy(dataset.data).permute(0, 3, 1, 2)
    return ImageDataset.from_images("cifar10", str(root), images)
