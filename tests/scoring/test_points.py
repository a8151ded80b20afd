"""Scores of points against the same numbers found by looking at every point, and every assignment."""

import itertools
import json
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from rgan_bench.config.schema import Config
from rgan_bench.data.load import load_data
from rgan_bench.errors import UserError
from rgan_bench.scoring.points import PointScorer, coverage, make_scorer, wasserstein
from rgan_bench.scoring.protocol import HIGHER_IS_BETTER, METRICS, Protocol, ScoreHistory
from rgan_bench.scoring.sampling import NotFinite
from rgan_bench.scoring.scorer import Scorer

CPU = torch.device("cpu")
HIGHER = ("modes", "high_quality", "precision", "recall", "density", "coverage", "inception_score")
Compose = Callable[..., Config]


class Fixed(nn.Module):
    """A generator that throws its latents away, and makes these points in turn."""

    def __init__(self, points: list[tuple[float, float]]) -> None:
        super().__init__()
        self.latent_dim = 1
        self.points = nn.Parameter(torch.tensor(points))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.points[torch.arange(len(z)) % len(self.points)][:, :, None, None]


def brute_coverage(points: np.ndarray, modes: np.ndarray, sd: float) -> tuple[int, float]:
    good, hit = 0, set()
    for point in points:
        distances = [math.dist(point, mode) for mode in modes]
        if min(distances) <= 3 * sd:
            good += 1
            hit.add(distances.index(min(distances)))
    return len(hit), good / len(points)


@pytest.mark.parametrize("spread", [0.01, 0.3, 2.0, 30.0])
def test_coverage_is_what_counting_gives(spread: float) -> None:
    chance = np.random.default_rng(0)
    modes = chance.normal(size=(7, 2))
    points = modes[chance.integers(5, size=200)] + spread * chance.normal(size=(200, 2))
    assert coverage(points, modes, 0.1) == pytest.approx(brute_coverage(points, modes, 0.1))


def test_coverage_at_the_edges() -> None:
    modes = np.array([[0.0, 0.0], [4.0, 0.0]])
    for distance, wanted in ((0.29, (1, 1.0)), (0.31, (0, 0.0))):
        assert coverage(np.array([[0.0, distance]]), modes, 0.1) == wanted
    assert coverage(np.array([[0.0, 0.0], [0.1, 0.0], [4.0, 0.0], [2.0, 0.0]]), modes, 0.1) == (2, 0.75)


def test_wasserstein_is_the_cheapest_of_all_assignments() -> None:
    chance = np.random.default_rng(1)
    for _ in range(5):
        one, two = chance.normal(size=(2, 6, 2))
        orders = itertools.permutations(range(6))
        cheapest = min(np.mean([math.dist(one[i], two[j]) for i, j in enumerate(order)]) for order in orders)
        assert wasserstein(one, two) == pytest.approx(cheapest, rel=1e-12)
    points = chance.normal(size=(500, 2))
    assert wasserstein(points, points[::-1]) == 0
    assert wasserstein(points, points + np.array([3, 4])) == pytest.approx(5)  # a translation is as cheap as can be


def scorer_of(compose_config: Compose, *overrides: str) -> PointScorer:
    config = compose_config("data=ring8", "data.num_images=3000", *overrides)
    scorer = make_scorer(config.fid, load_data(config.data, config.limits), CPU)
    assert isinstance(scorer, PointScorer)
    return scorer


def test_the_scorer_scores_a_generator(compose_config: Compose) -> None:
    scorer = scorer_of(compose_config, "fid.num_samples=300", "fid.batch_size=7")
    points = [(2.0, 0.05), (0.0, 2.0), (0.0, 1.9), (0.0, 0.0), (0.01, -2.0)]
    scores = scorer.score(Fixed(points), seed=1)
    assert (scores["modes"], scores["high_quality"]) == (3, pytest.approx(5 / 7, abs=0.01))
    # The first 300 fakes against a fixed choice of 300 reals.
    made = [points[i % 7 % 5] for i in range(300)]
    assert scores["wasserstein"] == wasserstein(np.float32(made).astype(float), scorer.real_points(300))
    assert scores == scorer.score(Fixed(points), seed=1)
    with pytest.raises(NotFinite):
        scorer.score(Fixed([(math.nan, 0.0)]), seed=1)


def test_the_data_themselves_score_best(compose_config: Compose) -> None:
    scorer = scorer_of(compose_config)
    data = scorer.data
    scores = scorer.score(Fixed(data.images.flatten(1).tolist()), seed=1)
    assert scores["modes"] == 8
    assert scores["high_quality"] == pytest.approx(1 - math.exp(-9 / 2), abs=0.01)
    one_mode = scorer.score(Fixed([(2.0, 0.0)]), seed=1)
    assert one_mode["high_quality"] == one_mode["modes"] == 1
    assert scores["wasserstein"] < 0.3 < 2 < one_mode["wasserstein"]


def test_protocols_say_what_decides_the_value(compose_config: Compose) -> None:
    protocols = scorer_of(compose_config, "fid.num_samples=300", "fid.num_real=20").protocols()
    assert list(protocols) == ["modes", "high_quality", "wasserstein"]
    assert len({protocol.fingerprint for protocol in protocols.values()}) == 3
    for name, protocol in protocols.items():
        assert (protocol.features, protocol.metric, protocol.score_name) == ("points", name, name)
        assert (protocol.num_samples, protocol.num_real, protocol.rank_deficient) == (300, 20, False)
        assert json.loads(json.dumps(protocol.as_dict()))["metric"] == name


@pytest.mark.parametrize("metric", METRICS)
def test_the_best_is_the_highest_where_higher_is_better(metric: str) -> None:
    protocol = Protocol("pixels", "none", 9, 9, "batch", 9, "x", metric)
    history = ScoreHistory(protocol, [(0, 2.0), (1, 5.0), (2, 1.0), (3, 5.0), (4, 1.0)])
    assert protocol.higher_is_better is (metric in HIGHER) is (metric in HIGHER_IS_BETTER)
    best = {"iteration": 1, "value": 5.0} if protocol.higher_is_better else {"iteration": 2, "value": 1.0}
    assert history.summary()["best"] == best


def test_points_and_images_are_not_scored_as_one_another(compose_config: Compose, tiny_config: Compose) -> None:
    toy, images = compose_config("data=ring8", "data.num_images=50"), tiny_config()
    held = {config.data.name: load_data(config.data, config.limits) for config in (toy, images)}
    with pytest.raises(UserError, match=r"^fid\.features=\[pixels\]: data=ring8 holds points"):
        make_scorer(images.fid, held["ring8"], CPU)
    with pytest.raises(UserError, match=r"^fid\.features=\[points\]: data=demo holds images"):
        make_scorer(toy.fid, held["demo"], CPU)
    with pytest.raises(UserError, match="holds images, and data=ring8 points"):
        make_scorer(toy.fid, held["ring8"], CPU).score_images(held["demo"])
    assert type(make_scorer(images.fid, held["demo"], CPU)) is Scorer
