"""Spectral norm, Miyato et al. 2018 (arXiv 1802.05957), as the author of arXiv 1807.00734 used it, and cheaper.

She took PyTorch's older torch.nn.utils.spectral_norm: no power iteration before the first pass, and v before u, unlike
torch.nn.utils.parametrizations. Either of PyTorch's copies a weight that lies channels last twice in every forward
pass, and its backward pass walks through it some five times; here the matrix is a view, and the gradient comes in
closed form. A test compares the two.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.utils.parametrize import is_parametrized, register_parametrization


def add_spectral_norm(network: nn.Module, *, linear: bool = False) -> None:
    """Spectral norm with one power iteration a forward pass, on every convolution.

    Args:
        linear: on every linear layer too, as in the paper; its author's own networks leave them free.
    """
    kinds = (nn.Conv2d, nn.Linear) if linear else (nn.Conv2d,)
    for module in network.modules():
        if isinstance(module, kinds):
            register_parametrization(module, "weight", SpectralNorm(module.weight))


def spectral_norm_of(module: nn.Module) -> "SpectralNorm | None":
    """What `add_spectral_norm` has put on this layer, if nothing else is on it."""
    layer: Any = module
    norms = list(layer.parametrizations.weight) if is_parametrized(module, "weight") else []
    return norms[0] if len(norms) == 1 and isinstance(norms[0], SpectralNorm) else None


class SpectralNorm(nn.Module):
    """W → W / σ(W), where σ is estimated as uᵀWv. Each forward pass in training mode is one power iteration, v first.

    Gradients take u and v as constants, and flow through σ. u starts at random: the first estimates are too small, and
    the first logits some five times as large as later ones. So the paper's runs began.
    """

    # A compiled backward pass would make the clones in `forward` anew, from what a later pass has changed by then.
    compilable = False
    _u: Tensor
    _v: Tensor
    given: Tensor | None = None  # for the next pass, by who has computed all layers' at once (vectors.py)

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        matrix = as_matrix(weight.detach())
        self.register_buffer("_u", F.normalize(matrix.new_empty(matrix.shape[0]).normal_(), dim=0))
        self.register_buffer(
            "_v", F.normalize(matrix.t().mv(self._u), dim=0)
        )  # for a pass in eval mode before any other

    def forward(self, weight: Tensor) -> Tensor:
        if self.given is not None:
            given, self.given = self.given, None
            return given
        # σ in float32, whatever convolutions compute in. Tensors without storage know no autocast.
        with torch.autocast("cpu" if weight.is_meta else weight.device.type, enabled=False):
            if self.training:
                self._power_iteration(as_matrix(weight.detach()))
            # Clones, since the next forward pass changes them before this one's backward pass.
            normalised: Tensor = Normalised.apply(weight, self._u.clone(), self._v.clone())
            return normalised

    @torch.no_grad()
    def _power_iteration(self, matrix: Tensor) -> None:
        self._v.copy_(F.normalize(matrix.t().mv(self._u), dim=0))
        self._u.copy_(F.normalize(matrix.mv(self._v), dim=0))


class Normalised(torch.autograd.Function):
    """W / (uᵀWv). Its gradient is (G − ⟨G, W/σ⟩ uvᵀ) / σ for a gradient G of the result."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, u: Tensor, v: Tensor) -> Tensor:
        sigma = torch.dot(u, as_matrix(weight).mv(v))
        normalised = weight / sigma
        ctx.save_for_backward(normalised, sigma, u, v)
        return normalised

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        normalised, sigma, u, v = ctx.saved_tensors
        matrix = as_matrix(gradient)
        inner = torch.dot(matrix.flatten(), as_matrix(normalised).flatten())
        found = torch.addr(matrix / sigma, u * (-inner / sigma), v)
        return as_weight(found, normalised.shape), None, None


def as_matrix(weight: Tensor) -> Tensor:
    """[out, in, kh, kw] → [out, kh·kw·in]: a view where the weight lies channels last. σ is the same in any order.
    [out, in], of a linear layer, as it is."""
    if weight.dim() == 2:
        return weight
    return weight.permute(0, 2, 3, 1).reshape(weight.shape[0], -1)


def as_weight(matrix: Tensor, shape: torch.Size) -> Tensor:
    """Back: a view that lies channels last."""
    if len(shape) == 2:
        return matrix
    out, into, height, width = shape
    return matrix.view(out, height, width, into).permute(0, 3, 1, 2)
