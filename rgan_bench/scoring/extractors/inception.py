"""The FID's own features: 2,048 of the TensorFlow-port Inception, by torch-fidelity."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch_fidelity import feature_extractor_inceptionv3 as inception
from torch_fidelity.utils import create_feature_extractor

from rgan_bench.errors import UserError, one_line
from rgan_bench.files import digest
from rgan_bench.register import extractor
from rgan_bench.scoring.extractors.weights import Published

Made = tuple[Callable[[Tensor], Tensor], str, Callable[[Tensor], Tensor]]


@extractor(
    "inception",
    dimensions=2048,
    frechet="fid",
    kernel="kid",
    inception_score="inception_score",
    mark={"fc.weight": (1008, 2048)},
)
def inception_features(device: torch.device, weights: str | None) -> Made:
    url: str = inception.URL_INCEPTION_V3
    published = Published("inception", "torch-fidelity's Inception", url, {"Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3)})
    # The file's name holds its hash.
    path = Path(weights) if weights is not None else published.downloaded(Path(url).stem.rsplit("-", 1)[-1])
    # torch-fidelity unpickles without a guard: so we look into the file first.
    published.read(path, "fid.weights" if weights is not None else "the downloaded weights")
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
    classes = network.get_parameter("fc.weight").detach()
    # Logits without the bias, from which torch-fidelity computes the Inception score, as Salimans et al. did.
    return lambda images: network(images)[0], digest(path), lambda features: features @ classes.t()


def fold_batch_norms(network: nn.Module) -> None:
    """Into the convolutions before them: the same features but for rounding, half as fast again on a CPU."""
    for module in network.modules():
        if isinstance(module, inception.BasicConv2d):
            module.conv = fuse_conv_bn_eval(module.conv, module.bn)
            module.bn = nn.Identity()
