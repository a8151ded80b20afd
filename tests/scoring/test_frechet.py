"""Fréchet and kernel distances beside torch-fidelity's, and beside the truth, from the data in 40 digits."""

import mpmath
import numpy as np
import pytest
import torch
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_statistics_to_metric
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric

from rgan_bench.scoring import kernel
from rgan_bench.scoring.frechet import factor, sum_by_eigenvalues, trace_of_root
from rgan_bench.scoring.kernel import kernel_distance
from rgan_bench.scoring.metrics import NEED_FEATURES, Statistics, frechet_distance, measure, statistics_of


def features(count: int, seed: int, dimensions: int) -> torch.Tensor:
    """Of scales from 1 down to 1e-4, as features of networks have."""
    scales = torch.logspace(0, -4, dimensions, dtype=torch.float64)
    return scales * torch.randn(
        count, dimensions, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    ) + torch.tensor(0.01 * seed)


def torch_fidelity_s(one: Statistics, two: Statistics) -> float:
    sides = ({"mu": each.mu, "sigma": each.sigma} for each in (one, two))
    return fid_statistics_to_metric(*sides, verbose=False)[KEY_METRIC_FID]


def exact_root(one: torch.Tensor, two: torch.Tensor) -> float:
    """tr (Σ₁ Σ₂)^½ without a covariance: the singular values of the product of the centred features."""
    with mpmath.workdps(40):
        centred = []
        for side in (one, two):
            values = mpmath.matrix(side.tolist())
            means = [mpmath.fsum(values[:, j]) / values.rows for j in range(values.cols)]
            for i in range(values.rows):
                for j in range(values.cols):
                    values[i, j] = (values[i, j] - means[j]) / mpmath.sqrt(values.rows - 1)
            centred.append(values)
        return float(mpmath.fsum(mpmath.svd_r(centred[0] * centred[1].T, compute_uv=False)))


def test_of_full_rank_it_is_torch_fidelitys() -> None:
    one, two = (statistics_of(features(900, seed, 60)) for seed in (1, 2))
    assert frechet_distance(one, two) == pytest.approx(torch_fidelity_s(one, two), rel=1e-9)


def test_of_fewer_images_than_dimensions_it_is_the_truth() -> None:
    """Where torch-fidelity's is off: the roots of eigenvalues that should be zero are not small."""
    sides = [features(count, seed, 40) for count, seed in ((12, 1), (9, 2))]
    one, two = map(statistics_of, sides)
    truth = exact_root(*sides)
    assert trace_of_root(one.factor(None), two.factor(None)) == pytest.approx(truth, rel=1e-13)
    others = (one.mu - two.mu) @ (one.mu - two.mu) + np.trace(one.sigma) + np.trace(two.sigma)
    assert frechet_distance(one, two) == pytest.approx(others - 2 * truth, rel=1e-12)
    assert abs(torch_fidelity_s(one, two) / (others - 2 * truth) - 1) > 1e-9
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-14 * np.trace(one.sigma))
    assert one.factor(None) is one.factor(None)  # kept for the next score


def test_factors() -> None:
    sigma = statistics_of(features(20, 3, 30)).sigma
    found = factor(sigma)
    assert found.shape == (30, 19)
    torch.testing.assert_close(found @ found.t(), torch.from_numpy(sigma), rtol=0, atol=1e-15)
    nothing = factor(np.zeros((30, 30)))  # all images are one
    assert trace_of_root(nothing, found) == 0


def test_singular_values_by_eigenvalues() -> None:
    """What a GPU computes."""
    matrix = features(7, 4, 11)
    assert sum_by_eigenvalues(matrix) == pytest.approx(float(torch.linalg.svdvals(matrix).sum()), rel=1e-14)


def test_kernel_distance_is_torch_fidelitys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which takes each subset's kernels by themselves; in chunks, of which the last is smaller."""
    for name, value in (("SUBSETS", 6), ("SUBSET", 50), ("CHUNK", 70)):
        monkeypatch.setattr(kernel, name, value)
    fake, real = (features(count, seed, 8) for count, seed in ((150, 5), (180, 6)))
    wanted = kid_features_to_metric(fake, real, kid_subsets=6, kid_subset_size=50, verbose=False)
    found = kernel_distance(fake.numpy(), real.numpy())
    assert found == pytest.approx(wanted[KEY_METRIC_KID_MEAN], rel=1e-9)
    assert found.error["se_over_subsets"] == pytest.approx(wanted[KEY_METRIC_KID_STD] / 6**0.5, rel=1e-9)


@pytest.mark.gpu
def test_a_gpu_computes_the_same() -> None:
    one, two = (statistics_of(features(300, seed, 400).float(), keep_features=True) for seed in (1, 2))
    metrics = ("frechet", *NEED_FEATURES)
    assert measure(metrics, one, two, torch.device("cuda")) == pytest.approx(measure(metrics, one, two), rel=1e-5)
