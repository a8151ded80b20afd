"""Discriminators with fewer kernels: the same function, for GPUs, where at batch 32 launching kernels takes longer than
what they do.

Under spectral norm a network of convolutions and (leaky) ReLUs in a row is a chain x_k = φ(W_k * x_{k−1} / σ_k + b_k)
with φ(c·x) = c·φ(x) for every c > 0. So y_k = s_k x_k with s_k = σ_1 ⋯ σ_k follows

    y_k = φ(W_k * y_{k−1} + s_k b_k)

and nothing need be divided but its end: no weight is normalised, and a gradient penalty differentiates plain
convolutions. What depends on the batch in nothing but its σ takes several batches in one pass, each with the σ of a
power iteration of its own.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from rgan_bench.gan.networks.spectral import as_matrix, as_weight, spectral_norm_of

HOMOGENEOUS = (nn.ReLU, nn.LeakyReLU)
OF_ONE_SAMPLE = (*HOMOGENEOUS, nn.Tanh, nn.Conv2d, nn.Linear, nn.Flatten)


def use_fewer_kernels(discriminator: nn.Module) -> None:
    """Has a discriminator, in place, compute the same with fewer kernels where it can be had: where it says by a method
    `in_a_row` of which layers it consists. Parameters, buffers and their names stay.

    One that takes several batches in one pass then has a method `together`, for `logits_of`.
    """
    layers: list[nn.Module] = getattr(discriminator, "in_a_row", list)()
    if not layers or not all(isinstance(layer, OF_ONE_SAMPLE) for layer in layers):
        return
    found: Any = discriminator
    if not any(map(spectral_norm_of, layers)):
        found.together = lambda *batches: discriminator(torch.cat(batches)).chunk(len(batches))
    elif Chain.can_be(layers):
        plain, chain = discriminator.forward, Chain(layers)
        found.together = chain
        found.forward = lambda images: chain(images)[0] if discriminator.training else plain(images)


def logits_of(discriminator: nn.Module, *batches: Tensor) -> Sequence[Tensor]:
    """Of each of these batches, equally large, as from one pass for each in this order."""
    together: Callable[..., Sequence[Tensor]] | None = getattr(discriminator, "together", None)
    if together is None or any(images.requires_grad for images in batches):  # a derivative is of one batch alone
        return [discriminator(images) for images in batches]
    return together(*batches)


class Chain:
    """(batches [B, C, H, W], …) → their logits [B, 1]; each takes a power iteration, in this order."""

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
        self.norms: list[Any] = [spectral_norm_of(layer) for layer in convolutions]
        self.weights: list[Tensor] = [layer.parametrizations.weight.original for layer in convolutions]
        self.biases: list[Tensor] = [layer.bias for layer in convolutions if layer.bias is not None]
        self.sizes = [as_matrix(weight.detach()).shape for weight in self.weights]
        self.last: Any = getattr(layers[-1], "bias", None)
        self.channels = [len(bias) for bias in self.biases]
        self.bind()

    def bind(self) -> None:
        """Lays the vectors of all layers into one tensor, [layer, (v, u), the longest], and tells each layer its own
        part of it: for a kernel that normalises all of them."""
        count, like = len(self.norms), self.weights[0].detach()
        self.vectors = like.new_zeros(count, 2, max(map(max, self.sizes)))
        for norm, vectors, (rows, columns) in zip(self.norms, self.vectors, self.sizes, strict=True):
            norm._v = vectors[0, :columns].copy_(norm._v)
            norm._u = vectors[1, :rows].copy_(norm._u)
        owner = torch.tensor([index for index, channels in enumerate(self.channels) for _ in range(channels)]).long()
        # [a layer's bias, layer] → 1 where the layer's σ is a factor of that bias.
        self.reaches = (owner[:, None] >= torch.arange(count)).to(like)
        self.owner = owner.to(like.device)

    def __call__(self, *batches: Tensor) -> Sequence[Tensor]:
        if self.norms[0]._u.untyped_storage().data_ptr() != self.vectors.untyped_storage().data_ptr():
            self.bind()  # the network has gone to another device or type
        passes = len(batches)
        features = batches[0] if passes == 1 else torch.cat(batches)
        inverse, scaled, *weights = Scales.apply(self, passes, *self.weights, *self.biases)
        biases = scaled.split(self.channels, dim=1) if self.channels else [None] * len(weights)
        parts = iter(zip(weights, biases, strict=True))
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):
                weight, bias = next(parts)
                features = features.flatten(0, -4)
                if bias is None or passes == 1:
                    bias = bias if bias is None else bias.flatten()
                    features = F.conv2d(features, weight, bias, layer.stride, layer.padding)
                else:
                    convolved = F.conv2d(features, weight, None, layer.stride, layer.padding)
                    apart = bias.to(convolved.dtype).view(passes, 1, -1, 1, 1)
                    features = convolved.unflatten(0, (passes, -1)) + apart
            elif isinstance(layer, nn.Flatten):
                features = features.flatten(-3)
            elif isinstance(layer, nn.Linear):
                features = F.linear(features, layer.weight)
            else:
                features = layer(features)
        logits, inverse = features.view(passes, -1, 1), inverse.view(passes, 1, 1)
        found: Tensor = torch.addcmul(self.last, logits, inverse) if self.channels else logits * inverse
        return found.unbind()


class Scales(torch.autograd.Function):
    """Power iterations, as many as there are passes. Weights and biases of all layers → 1 / s [passes] at the end of the
    chain, s_k b_k [passes, all channels], and the weights, in whose gradients that of σ is then included."""

    @staticmethod
    def forward(ctx: Any, chain: Chain, passes: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        weights, biases = tensors[: len(chain.norms)], tensors[len(chain.norms) :]
        with torch.autocast(weights[0].device.type, enabled=False):
            matrices = [as_matrix(weight) for weight in weights]
            found = chain.vectors.new_zeros(passes, *chain.vectors.shape)
            norms = found.new_empty(passes, len(weights), 2, 1)
            before = chain.vectors
            for vectors, lengths in zip(found, norms, strict=True):
                for matrix, last, (v, u) in zip(matrices, before[:, 1], vectors, strict=True):
                    rows, columns = matrix.shape
                    torch.mv(matrix.t(), last[:rows], out=v[:columns])
                    torch.mv(matrix, v[:columns], out=u[:rows])
                torch.linalg.vector_norm(vectors, dim=-1, keepdim=True, out=lengths)
                vectors /= lengths
                before = vectors
            chain.vectors.copy_(before)
            sigma = (norms[:, :, 1] / norms[:, :, 0]).squeeze(-1)
            scale = sigma.cumprod(1)
            inverse = scale[:, -1].reciprocal()
            spread = scale.index_select(1, chain.owner) if biases else scale.new_zeros(passes, 0)
            scaled = spread * torch.cat(biases) if biases else spread
        ctx.chain = chain
        ctx.save_for_backward(found, sigma, inverse, spread, scaled)
        return inverse, scaled, *(weight.detach() for weight in weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_inverse: Tensor, of_scaled: Tensor, *of_weights: Tensor) -> tuple[Tensor | None, ...]:
        found, sigma, inverse, spread, scaled = ctx.saved_tensors
        # s_k has the derivative s_k / σ_j for each j up to k.
        of_sigma = -(of_inverse * inverse)[:, None]
        if ctx.chain.channels:
            of_sigma = torch.addmm(of_sigma, of_scaled * scaled, ctx.chain.reaches)
        shares = found[:, :, 1] * (of_sigma / sigma)[..., None]  # σ = uᵀWv has the gradient uvᵀ
        totals = []
        for layer, (gradient, (rows, columns)) in enumerate(zip(of_weights, ctx.chain.sizes, strict=True)):
            total = as_matrix(gradient)
            for share, vectors in zip(shares, found, strict=True):
                total = torch.addr(total, share[layer, :rows], vectors[layer, 0, :columns])
            totals.append(as_weight(total, gradient.shape))
        of_biases = (of_scaled * spread).sum(0).split(ctx.chain.channels) if ctx.chain.channels else ()
        return None, None, *totals, *of_biases
