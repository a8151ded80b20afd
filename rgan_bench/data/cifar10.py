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
from rgan_bench.files import is_folder
from rgan_bench.schema import LimitsConfig


def load(data: Any, limits: LimitsConfig) -> ImageDataset:
    """All training images, without flips or other augmentation, as the paper used them.

    Raises:
        UserError: they are neither there nor downloadable, or do not pass torchvision's check.
    """
    root = Path(data.root)
    made = damaged = False
    try:
        made = is_folder(root) is None
        if not made and not is_folder(root):
            raise UserError(f"data=cifar10: data.root={root} is a file; give the folder that holds {CIFAR10.filename}")
        damaged = (root / CIFAR10.filename).is_file()  # where it is whole, nothing is downloaded
        with contextlib.redirect_stdout(io.StringIO()):  # torchvision reports in prints
            dataset = CIFAR10(str(root), train=True, download=True)
    except UserError:
        raise
    except Exception as error:  # the network, the disk, what was unpacked: many kinds
        if made:
            with contextlib.suppress(OSError, ValueError):
                root.rmdir()  # of no use if empty
        why = f"{CIFAR10.filename} is there, but damaged: " if damaged and isinstance(error, URLError) else ""
        raise UserError(
            f"data=cifar10: cannot get the images ({why}{one_line(error)}); download {CIFAR10.url} elsewhere and put "
            f"the file {CIFAR10.filename} into {root.absolute()}, or set data.root to the folder that holds it"
        ) from error
    images = torch.from_numpy(dataset.data).permute(0, 3, 1, 2)
    return ImageDataset.from_images("cifar10", str(root), images)
