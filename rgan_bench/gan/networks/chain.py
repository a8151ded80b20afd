"""A discriminator under spectral norm without normalised weights: the same function with fewer kernels.

Under spectral norm a network of convolutions and (leaky) ReLUs in a row is a chain x_k = φ(W_k * x_{k−1} / σ_k + b_k)
with φ(c·x) = c·φ(x) for every c > 0. So y_k = s_k x_k with s_k = σ_1 ⋯ σ_k follows

    y_k = φ(W_k * y_{k−1} + s_k b_k)

and nothing need be divided but its end: no weight is normalised, and a gradient penalty differentiates plain
convolutions. What depends on the batch in nothing but its σ takes several batches in one pass, each with the σ of a
power iteration of its own.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from rgan_bench.gan.networks.spectral import as_matrix, as_weight, spectral_norm_of
from rgan_bench.gan.networks.vectors import Vectors

HOMOGENEOUS = (nn.ReLU, nn.LeakyReLU)


class Chain:
    """Batches of images [B, C, H, W] → their logits [B, 1], after a power iteration for each batch."""

    @staticmethod
    def can_be(layers: Sequence[nn.Module]) -> bool:
        """Whether these are such a chain: homogeneous, spectral norm on every convolution and nothing else, a linear
        layer at most at the end, and biases on all of them or on none."""
        convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
        others = [layer for layer in layers if not isinstance(layer, (nn.Conv2d, nn.Flatten, *HOMOGENEOUS))]
        return (
            all(map(spectral_norm_of, convolutions))
            and all(layer is layers[-1] and not spectral_norm_of(layer) for layer in others)
            and all(isinstance(layer, nn.Linear) for layer in others)
            and len({layer.bias is None for layer in (*convolutions, *others)}) == 1
        )

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        """
        Args:
            layers: such as `can_be` admits.
        """
        self.layers = layers
        convolutions: list[Any] = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
        self.vectors = Vectors(convolutions)
        self.weights = self.vectors.weights
        self.biases: list[Tensor] = [layer.bias for layer in convolutions if layer.bias is not None]
        self.end: Any = layers[-1]
        self.channels = [len(bias) for bias in self.biases]
        owner = torch.tensor([index for index, channels in enumerate(self.channels) for _ in range(channels)]).long()
        # A layer's bias → the layer; [a layer's bias, layer] → 1 where the layer's σ is a factor of that bias.
        self.owner = owner.to(self.weights[0].device)
        self.reaches = (owner[:, None] >= torch.arange(len(self.weights))).to(self.weights[0])
        # Of passes to come: 1 / s, the biases, and the weights.
        self.ahead: list[tuple[Tensor, Tensor, Sequence[Tensor]]] = []

    def look_ahead(self, groups: Sequence[int]) -> None:
        """The power iterations of passes to come, each for a group of so many batches. What is left of other passes is
        forgotten: a step has broken off."""
        found = Scales.apply(self, groups, *self.weights, *self.biases)
        inverses, scaled, weights = found[: len(groups)], found[len(groups) : 2 * len(groups)], found[2 * len(groups) :]
        if isinstance(self.end, nn.Linear):
            weights += (self.channels_last(self.end.weight),)
        self.ahead = [(*each, weights) for each in zip(inverses, scaled, strict=True)]

    def channels_last(self, weight: Tensor) -> Tensor:
        """Of the linear layer at the end, for features whose channels come last: they then need no copy."""
        apart: Tensor = weight.view(len(weight), self.weights[-1].shape[0], -1)
        return apart.transpose(1, 2).flatten(1)

    def __call__(self, *batches: Tensor) -> Any:
        passes = len(batches)
        if not self.ahead:
            self.look_ahead([passes])
        inverse, scaled, weights = self.ahead.pop(0)
        features = batches[0] if passes == 1 else torch.cat(batches)
        biases = scaled.split(self.channels, dim=1) if self.channels else [None] * len(self.weights)
        parts = iter(zip(weights, biases, strict=False))
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):
                features = convolved(layer, features.flatten(0, -4), *next(parts))
            elif isinstance(layer, nn.Flatten):
                features = features.movedim(-3, -1).flatten(-3)
            elif isinstance(layer, nn.Linear):
                features = F.linear(features, weights[-1])
            else:
                features = layer(features)
        logits, inverse = features.view(passes, -1, 1), inverse.view(passes, 1, 1)
        logits = torch.addcmul(self.end.bias, logits, inverse) if self.channels else logits * inverse
        return logits.squeeze(0) if passes == 1 else logits.unbind()


def convolved(layer: nn.Conv2d, images: Tensor, weight: Tensor, biases: Tensor | None) -> Tensor:
    """[passes · B, C, H, W] → of this shape, or, with a bias for each of several passes, [passes, B, C, H, W]."""
    alone = None if biases is None or len(biases) > 1 else biases.flatten()
    found: Tensor = layer._conv_forward(images, weight, alone)
    if biases is not None and alone is None:
        found = found.unflatten(0, (len(biases), -1)) + biases.to(found.dtype)[:, None, :, None, None]
    return found


class Scales(torch.autograd.Function):
    """Power iterations, as many as there are batches in all groups. Weights and biases of all layers → for each group
    1 / s [batches] at the end of the chain, for each group s_k b_k [batches, all channels], and the weights, in whose
    gradients that of σ is then included."""

    @staticmethod
    def forward(ctx: Any, chain: Chain, groups: Sequence[int], *tensors: Tensor) -> tuple[Tensor, ...]:
        weights, biases = tensors[: len(chain.weights)], tensors[len(chain.weights) :]
        found, sigma = chain.vectors.iterate(sum(groups))
        with torch.autocast(found.device.type, enabled=False):
            scale = sigma.cumprod(1)
            inverse = scale[:, -1].reciprocal()
            spread = scale.index_select(1, chain.owner) if biases else scale.new_zeros(len(scale), 0)
            scaled = spread * torch.cat(biases) if biases else spread
        ctx.chain, ctx.groups = chain, len(groups)
        ctx.save_for_backward(found, sigma, inverse, spread, scaled)
        kept = (weight.detach() for weight in weights)
        return *inverse.split(groups), *scaled.split(groups), *kept

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        found, sigma, inverse, spread, scaled = ctx.saved_tensors
        chain, groups = ctx.chain, ctx.groups
        # s_k has the derivative s_k / σ_j for each j up to k, and 1 / s its negative.
        of_sigma = (joined(gradients[:groups]) * inverse)[:, None]
        of_biases: Sequence[Tensor] = ()
        if chain.channels:
            of_scaled = joined(gradients[groups : 2 * groups])
            of_sigma = torch.addmm(of_sigma, of_scaled * scaled, chain.reaches.to(scaled), beta=-1)
            of_biases = (of_scaled * spread).sum(0).split(chain.channels)
        else:
            of_sigma = -of_sigma
        shares = found[:, :, 1] * (of_sigma / sigma)[..., None]  # σ = uᵀWv has the gradient uvᵀ
        of_weights = []
        for layer, (gradient, (rows, columns)) in enumerate(
            zip(gradients[2 * groups :], chain.vectors.sizes, strict=True)
        ):
            # In place: a gradient that convolutions have just made, and that nobody else holds.
            total = as_matrix(gradient).addmm_(shares[:, layer, :rows].t(), found[:, layer, 0, :columns])
            of_weights.append(as_weight(total, gradient.shape))
        return None, None, *of_weights, *of_biases


def joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
