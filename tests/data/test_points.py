"""Toy sets: what is drawn, from its settings alone, and what cannot go together with points."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from rgan_bench.config.schema import Config
from rgan_bench.config.validate import data_config
from rgan_bench.data import exact
from rgan_bench.data.load import load_data
from rgan_bench.data.points import PointDataset
from rgan_bench.errors import UserError
from tests.conftest import LIMITS

RING = [(2 * math.cos(k * math.pi / 4), 2 * math.sin(k * math.pi / 4)) for k in range(8)]
GRID = [(x, y) for y in range(-4, 5, 2) for x in range(-4, 5, 2)]
SETS = {"ring8": (RING, 0.02), "grid25": (GRID, 0.05)}
# Read off once, of the first 1,000 points of seed 0.
FINGERPRINTS = {"ring8": "b3d8c38d5507b84e", "grid25": "bd8b412a4c3007f8"}
each = pytest.mark.parametrize("name", SETS)


def points(name: str, count: int = 50_000, seed: int = 0) -> PointDataset:
    found = load_data(data_config(name, num_images=count, data_seed=seed), LIMITS)
    assert isinstance(found, PointDataset)
    return found


@each
def test_points_are_a_mixture_of_equal_gaussians(name: str) -> None:
    modes, sd = SETS[name]
    data = points(name)
    np.testing.assert_allclose(data.modes, modes, atol=1e-15)
    assert data.sd == sd
    assert (data.images.dtype, data.images.shape) == (torch.float32, (50_000, 2, 1, 1))
    drawn = data.images.flatten(1).double().numpy()
    offsets = drawn[:, None] - np.array(modes)
    nearest = np.linalg.norm(offsets, axis=2).argmin(axis=1)
    counts = np.bincount(nearest, minlength=len(modes))
    wanted = len(drawn) / len(modes)
    assert abs(counts - wanted).max() < 4.5 * math.sqrt(wanted)
    normal = offsets[np.arange(len(drawn)), nearest] / sd
    error = 4.5 / math.sqrt(len(drawn))
    assert abs(normal.mean(axis=0)).max() < error
    np.testing.assert_allclose(np.cov(normal.T), np.eye(2), atol=1.5 * error)
    assert abs((normal**4).mean(axis=0) - 3).max() < error * math.sqrt(96)
    # Of a round Gaussian the share within r standard deviations is 1 − exp(−r²/2).
    for radius in (1, 2, 3):
        share = (np.linalg.norm(normal, axis=1) <= radius).mean()
        assert share == pytest.approx(1 - math.exp(-(radius**2) / 2), abs=error)


def test_the_same_points_on_every_machine() -> None:
    """Another processor, NumPy or PyTorch must give these, or its runs could not be continued here."""
    assert {name: points(name, 1000).fingerprint for name in SETS} == FINGERPRINTS


@each
def test_a_seed_decides_them(name: str) -> None:
    data = points(name, 500)
    assert data.fingerprint == points(name, 500).fingerprint
    assert data.fingerprint != points(name, 500, seed=1).fingerprint
    assert len({points(other, 500).fingerprint for other in SETS}) == 2


def test_the_fingerprint_knows_the_modes_too() -> None:
    drawn, modes = torch.randn(5, 2), torch.randn(3, 2)
    made = [PointDataset.from_points("x", "x", drawn, m, sd) for m, sd in ((modes, 1.0), (modes, 2.0), (2 * modes, 1))]
    assert len({data.fingerprint for data in made}) == 3
    for shape in ((5, 3), (5, 2, 1)):
        with pytest.raises(ValueError, match="must be"):
            PointDataset.from_points("x", "x", torch.zeros(shape), modes, 1.0)


def test_batches_are_the_points_themselves() -> None:
    data = points("ring8", 100)
    indices = torch.tensor([5, 0, 99])
    for layout in (torch.channels_last, torch.contiguous_format):
        batch = data.batch(indices, layout)
        assert torch.equal(batch, data.images[indices])
        assert batch.is_contiguous(memory_format=layout)
    moved = data.to(torch.device("cpu"))
    assert (moved.sd, len(moved), moved.image_size) == (0.02, 100, 1)
    assert moved.content == "100 points around 8 modes"


def test_logarithms_and_normal_numbers() -> None:
    values = np.concatenate([np.logspace(-300, 300, 10_001), 1 + np.linspace(-1e-3, 1e-3, 1001)])
    np.testing.assert_allclose(exact.logarithm(values), np.log(values), rtol=1e-14, atol=1e-16)
    smallest, largest = (exact.normals(np.array([u]), np.array([0.0]))[0][0] for u in (0.0, 1 - 2.0**-24))
    assert (smallest, largest) == (0, pytest.approx(math.sqrt(48 * math.log(2))))


# --- what cannot be ---------------------------------------------------------------------------------------------------

REFUSED = [
    ("data=ring8 arch=cnn32", r"arch=cnn32: makes images, and data=ring8 holds points; choose arch=mlp2d$"),
    ("data=demo arch=mlp2d", r"arch=mlp2d: makes points, and data=demo holds images; choose arch=cnn32 or r3gan32 or"),
    ("data=demo data.image_size=9 arch=mlp2d", r"arch=mlp2d: .* choose data of points$"),
    ("data=ring8 data.flip=true", r"data\.flip=true: the points of data=ring8 cannot be mirrored; set data\.flip"),
    ("data=ring8 data.image_size=8", r"data\.image_size=8: data=ring8 is 1×1 only"),
    ("data=demo data.image_size=7", r"data\.image_size=7: must be at least 8"),
    ("data=grid25 fid.features=pixels", r"fid\.features=\[pixels\]: data=grid25 holds points, .*; use points alone"),
    ("data=ring8 fid.features=[points,inception]", r"fid\.features=\[points,inception\]: .*; use points alone"),
    ("data=demo fid.features=points", r"fid\.features=\[points\]: data=demo holds images; use inception, or pixels"),
    ("data=ring8 arch.batch_norm=both", r"arch\.batch_norm=both: arch=mlp2d can only have none or generator"),
    ("experiment=demo data=ring8 arch=mlp2d", r"fid\.features=\[pixels\]: data=ring8 holds points"),
]  # fmt: skip


@pytest.mark.parametrize(("overrides", "message"), REFUSED, ids=[overrides for overrides, _ in REFUSED])
def test_refused(overrides: str, message: str, compose_config: Callable[..., Config]) -> None:
    with pytest.raises(UserError, match=message) as refusal:
        compose_config(*overrides.split())
    assert "\n" not in str(refusal.value)


def test_too_many_points_are_refused_before_they_are_drawn() -> None:
    with pytest.raises(UserError, match=r"^data\.num_images=10000000000: .* points take 80,000,000,000 bytes"):
        points("ring8", 10**10)


# --- what they bring along --------------------------------------------------------------------------------------------


@each
def test_they_bring_their_settings_and_what_is_set_counts(name: str, compose_config: Callable[..., Config]) -> None:
    config = compose_config(f"data={name}")
    assert (config.arch.name, config.fid.features) == ("mlp2d", ["points"])
    assert config.train.iterations < 20_000
    own = compose_config(f"data={name}", "optim=wgangp", "arch.width=8", "train.iterations=7", "fid.num_samples=9")
    assert (own.optim.lr, own.optim.n_d, own.arch.width) == (1e-4, 5, 8)
    assert (own.train.iterations, own.train.batch_size) == (7, config.train.batch_size)
    assert (own.fid.num_samples, own.fid.every) == (9, config.fid.every)
    assert compose_config(f"data={name}", "optim.lr=0.5").optim.lr == 0.5


def test_images_are_as_they_were(compose_config: Callable[..., Config]) -> None:
    config = compose_config("fid.features=null")
    assert config == compose_config()
    assert (config.fid.features, config.train.batch_size, config.optim.lr) == (["inception"], 32, 2e-4)
