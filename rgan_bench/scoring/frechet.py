"""The trace of (Σ₁ Σ₂)^½, which is what a Fréchet distance between Gaussians costs."""

import contextlib

import numpy as np
import torch
from scipy.linalg.lapack import dpstrf
from torch import Tensor


def factor(sigma: np.ndarray) -> Tensor:
    """A, float64 [D, rank] on the host, with A Aᵀ = Σ: Cholesky's, the largest pivot first.

    It ends where only rounding would be left, as it is where there are fewer images than dimensions.

    Args:
        sigma: a covariance, float64 [D, D].
    """
    upper, pivots, rank, _ = dpstrf(sigma.T)  # transposed: as Fortran stores it
    found = np.empty((len(sigma), rank))
    found[pivots - 1] = np.triu(upper)[:rank].T
    return torch.from_numpy(found)


def trace_of_root(one: Tensor, two: Tensor) -> float:
    """tr (Σ₁ Σ₂)^½ from factors A [D, r] and B [D, s]: the sum of the singular values of Aᵀ B.

    The eigenvalues of Σ₁ Σ₂ are their squares. Computed as such, those that are small would lose half their digits.
    """
    product = one.t() @ two
    if product.device.type != "cpu":
        with contextlib.suppress(RuntimeError):  # cuSOLVER gives up on some matrices whose eigenvalues repeat
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
