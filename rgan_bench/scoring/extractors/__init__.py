"""Feature extractors: uint8 images [B, 3, H, W] → features [B, D]; one file a family.

inception is the FID's own. dinov2 is what Stein et al. 2023 found to agree best with people. For machines without
network: efficientnet-lite0, -lite1 and -lite2 (the extra `offline`) and pixels. Points have their coordinates.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rgan_bench import register

# Images at a time on a CPU: what an extractor makes of more no longer fits its caches, and takes gigabytes.
CPU_BATCH = 20


@dataclass(frozen=True)
class Extractor:
    """A feature extractor ready to use: uint8 images [B, 3, H, W] on its device → float32 features [B, D].

    Attributes:
        features: its name in configs.
        weights: what tells its weights apart from others: a digest of their file; "none" where it has none.
        network: images → features.
        classify: features → logits of classes [B, C]; None: it knows no classes.
    """

    features: str
    weights: str
    network: Callable[[Tensor], Tensor]
    classify: Callable[[Tensor], Tensor] | None = None

    def __call__(self, images: Tensor) -> Tensor:
        if images.device.type != "cpu":
            return self.network(images)
        return torch.cat([self.network(part) for part in images.split(CPU_BATCH)])


def create_extractor(features: str, device: torch.device, weights: str | None = None) -> Extractor:
    """
    Args:
        features: a name that is registered.
        device: where it will run.
        weights: file of its weights; None: those that it finds, or downloads once.

    Raises:
        UserError: the weights cannot be had, or are not of this network.
    """
    made = register.get("extractor", features)(device, weights)
    network, told, *classify = made if isinstance(made, tuple) else (made, "none")
    plugin = register.plugin_of("extractor", features)
    if plugin is not None:  # other source, other features
        told = plugin.digest if told == "none" else f"{plugin.digest}-{told}"
    return Extractor(features, told, network, *classify)
