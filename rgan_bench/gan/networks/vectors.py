"""Power iterations of all layers of a network at once: fewer kernels than one layer after the other."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from rgan_bench.gan.networks.spectral import as_matrix, as_weight, spectral_norm_of


class Vectors:
    """u and v of layers under spectral norm, in one tensor [layer, (v, u), the longest]: one kernel normalises all.

    Attributes:
        weights: before they are normalised.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        found: Sequence[Any] = layers
        self.norms: list[Any] = [spectral_norm_of(layer) for layer in layers]
        self.weights: list[Tensor] = [layer.parametrizations.weight.original for layer in found]
        self.sizes = [as_matrix(weight.detach()).shape for weight in self.weights]
        self.bind()

    def bind(self) -> None:
        """Tells each layer its own part of the tensor."""
        self.all = self.weights[0].detach().new_zeros(len(self.norms), 2, max(map(max, self.sizes)))
        for norm, vectors, (rows, columns) in zip(self.norms, self.all, self.sizes, strict=True):
            norm._v = vectors[0, :columns].copy_(norm._v)
            norm._u = vectors[1, :rows].copy_(norm._u)

    @torch.no_grad()
    def iterate(self, passes: int) -> tuple[Tensor, Tensor]:
        """As many power iterations: u and v after each [passes, layer, (v, u), the longest], and σ [passes, layer]."""
        if self.norms[0]._u.untyped_storage().data_ptr() != self.all.untyped_storage().data_ptr():
            self.bind()  # the network has gone to another device or type
        with torch.autocast(self.all.device.type, enabled=False):
            matrices = [as_matrix(weight) for weight in self.weights]
            found = self.all.new_zeros(passes, *self.all.shape)
            norms = found.new_empty(*found.shape[:3], 1)
            before = self.all
            for after, lengths in zip(found, norms, strict=True):
                for matrix, last, (v, u) in zip(matrices, before[:, 1], after, strict=True):
                    rows, columns = matrix.shape
                    torch.mv(matrix.t(), last[:rows], out=v[:columns])
                    torch.mv(matrix, v[:columns], out=u[:rows])
                torch.linalg.vector_norm(after, dim=-1, keepdim=True, out=lengths)
                after /= lengths
                before = after
            self.all.copy_(before)
            # v was not of length one yet when u was made of it.
            return found, (norms[:, :, 1] / norms[:, :, 0]).squeeze(-1)


class Ahead:
    """The normalised weights of passes to come, for a network that uses each of its layers once in a pass."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self.vectors = Vectors(layers)
        self.passes: list[Sequence[Tensor]] = []

    def look(self, passes: int) -> None:
        """What is left of other passes is forgotten: a step has broken off."""
        found, count = AllNormalised.apply(self.vectors, passes, *self.vectors.weights), len(self.vectors.weights)
        self.passes = [found[start : start + count] for start in range(0, passes * count, count)]

    def give(self) -> None:
        """Hands the weights of the next pass to the layers."""
        if not self.passes:
            self.look(1)
        for norm, weight in zip(self.vectors.norms, self.passes.pop(0), strict=True):
            norm.given = weight


class AllNormalised(torch.autograd.Function):
    """Weights of all layers → W / σ of all of them for the first pass, for the second, …"""

    @staticmethod
    def forward(ctx: Any, vectors: Vectors, passes: int, *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.sizes = vectors.sizes
        found, sigma = vectors.iterate(passes)
        normalised = [weight / own for of_pass in sigma for weight, own in zip(weights, of_pass, strict=True)]
        ctx.save_for_backward(found, sigma, *normalised)
        return tuple(normalised)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        """(G − ⟨G, W/σ⟩ uvᵀ) / σ, of all passes together."""
        found, sigma, *normalised = ctx.saved_tensors
        totals: list[Tensor | None] = [None] * len(ctx.sizes)
        for number, (vectors, of_pass) in enumerate(zip(found, sigma, strict=True)):
            start = number * len(totals)
            given, own = gradients[start : start + len(totals)], normalised[start : start + len(totals)]
            if all(gradient is None for gradient in given):  # a pass of which nothing is learnt
                continue
            scaled = [
                as_matrix(torch.zeros_like(weight) if gradient is None else gradient) / each
                for gradient, weight, each in zip(given, own, of_pass, strict=True)
            ]
            inner = [
                torch.dot(each.flatten(), as_matrix(weight).flatten()) for each, weight in zip(scaled, own, strict=True)
            ]
            shares = vectors[:, 1] * -torch.stack(inner)[:, None]
            for layer, (each, (rows, columns)) in enumerate(zip(scaled, ctx.sizes, strict=True)):
                part = torch.addr(each, shares[layer, :rows], vectors[layer, 0, :columns])
                before = totals[layer]
                totals[layer] = part if before is None else before + part
        pairs = zip(totals, normalised, strict=False)
        return None, None, *(None if total is None else as_weight(total, weight.shape) for total, weight in pairs)
