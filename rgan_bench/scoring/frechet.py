"""The trace of (Σ₁ Σ₂)^½, which is what a Fréchet distance between Gaussians costs."""

import contextlib

import torch
from torch import Tensor

ROUNDING = 10 * torch.finfo(torch.float64).eps  # of the largest eigenvalue; zeros came out as at most a tenth of it


def factor(sigma: Tensor) -> Tensor:
    """A, of [D, rank], with A Aᵀ = Σ.

    Eigenvalues that are zero but for rounding are left out: they come as 1e-16 of the largest, of which the root is
    1e-8, and there are as many as dimensions without an image.

    Args:
        sigma: a covariance, float64 [D, D].
    """
    try:
        values, vectors = torch.linalg.eigh(sigma)
    except RuntimeError:
        if sigma.device.type == "cpu":
            raise
        # cuSOLVER gives up on some matrices whose eigenvalues repeat, as zeros do.
        values, vectors = (each.to(sigma.device) for each in torch.linalg.eigh(sigma.cpu()))
    sound = values > ROUNDING * values[-1]
    found: Tensor = vectors[:, sound] * values[sound].sqrt()
    return found


def trace_of_root(one: Tensor, two: Tensor) -> float:
    """tr (Σ₁ Σ₂)^½ from factors A [D, r] and B [D, s]: the sum of the singular values of Aᵀ B.

    The eigenvalues of Σ₁ Σ₂ are their squares. Computed as such, those that are small would lose half their digits.
    """
    product = one.t() @ two
    if product.device.type != "cpu":
        with contextlib.suppress(RuntimeError):  # as above
            return sum_by_eigenvalues(product)
    return float(torch.linalg.svdvals(product.cpu()).sum())


def sum_by_eigenvalues(matrix: Tensor) -> float:
    """The sum of the singular values of M: ± these, and zeros, are the eigenvalues of [[0, M], [Mᵀ, 0]].

    For GPUs, where cuSOLVER's singular values of large matrices are slow and may not converge.
    """
    rows, columns = matrix.shape
    both = matrix.new_zeros(rows + columns, rows + columns)
    both[rows:, :rows] = matrix.t()  # the lower half is all that is read
    return float(torch.linalg.eigvalsh(both).abs().sum() / 2)
