"""Each metric against its definition, written out in float64 NumPy, and beside torch-fidelity where it has it."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, KEY_METRIC_ISC_STD, isc_features_to_metric
from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric

from rgan_bench import register
from rgan_bench.config.schema import FAMILIES, Config
from rgan_bench.data.dataset import ImageDataset
from rgan_bench.errors import UserError
from rgan_bench.rng import stream
from rgan_bench.scoring import kernel, neighbours
from rgan_bench.scoring.classes import ClassScore
from rgan_bench.scoring.extractors import Extractor
from rgan_bench.scoring.kernel import kernel_distance
from rgan_bench.scoring.metrics import Collector, Statistics, measure, statistics_of
from rgan_bench.scoring.neighbours import NEIGHBOURS, neighbour_scores
from rgan_bench.scoring.projections import DIRECTIONS, monge_distance
from rgan_bench.scoring.protocol import FEATURE_METRICS, Protocol, metrics_of
from rgan_bench.scoring.scorer import Scorer

CPU = torch.device("cpu")


def features(count: int, seed: int, dimensions: int = 7, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1, (count, dimensions)).astype(np.float32)


def distances(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    return np.linalg.norm(one[:, None].astype(float) - two[None].astype(float), axis=2)


def direct(fake: np.ndarray, real: np.ndarray) -> dict[str, float]:
    """Image by image."""

    def radius(among: np.ndarray, index: int, k: int) -> float:
        return sorted(distances(among[[index]], np.delete(among, index, axis=0))[0])[k - 1]

    across = distances(fake, real)
    real3, real5 = ([radius(real, j, k) for j in range(len(real))] for k in (3, 5))
    fake3 = [radius(fake, i, 3) for i in range(len(fake))]
    pairs = [(i, j) for i in range(len(fake)) for j in range(len(real))]
    return {
        "precision": len({i for i, j in pairs if across[i, j] <= real3[j]}) / len(fake),
        "recall": len({j for i, j in pairs if across[i, j] <= fake3[i]}) / len(real),
        "density": sum(across[i, j] < real5[j] for i, j in pairs) / (5 * len(fake)),
        "coverage": len({j for i, j in pairs if across[i, j] < real5[j]}) / len(real),
    }


@pytest.mark.parametrize("shift", [0.0, 0.7, 30.0])
def test_neighbours_are_those_that_looking_at_every_pair_finds(shift: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "CHUNK", 17)  # several, and a last one that is smaller
    fake, real = features(60, 1, shift=shift), features(75, 2)
    wanted = direct(fake, real)
    found = neighbour_scores(fake, real, list(NEIGHBOURS))
    assert found == pytest.approx(wanted, rel=1e-12)
    for metric in NEIGHBOURS:  # asked for alone, each is the same
        assert neighbour_scores(fake, real, [metric]) == {metric: found[metric]}
    if shift < 1:
        assert all(0.05 < value < 1.5 for value in wanted.values())


def test_precision_and_recall_are_torch_fidelitys() -> None:
    fake, real = features(700, 3, 64, 0.1), features(1300, 4, 64)
    settings = {"prc_neighborhood": 3, "prc_batch_size": 500, "save_cpu_ram": True, "verbose": False}
    wanted = prc_features_to_metric(*(torch.from_numpy(each).double() for each in (fake, real)), **settings)
    found = neighbour_scores(fake, real, ["precision", "recall"])
    theirs = {"precision": wanted[KEY_METRIC_PRECISION], "recall": wanted[KEY_METRIC_RECALL]}  # averaged in float32
    assert found == pytest.approx(theirs, rel=1e-6)


def test_monge_distance_by_its_definition() -> None:
    fake, real = features(50, 5, shift=0.3), features(50, 6)
    directions = torch.randn(DIRECTIONS, 7, dtype=torch.float64, generator=stream(0, "metrics/directions")).numpy()
    total = 0.0
    for direction in directions:
        direction = direction / np.sqrt((direction**2).sum())
        one, two = (np.sort(each.astype(float) @ direction) for each in (fake, real))
        total += ((one - two) ** 2).sum()
    assert monge_distance(fake, real) == pytest.approx(3 * 7 * total / (50 * DIRECTIONS), rel=1e-9)


def test_monge_distance_of_a_shift_is_three_times_its_square() -> None:
    """⟨shift, direction⟩² is |shift|² / d on average."""
    fake = features(400, 7, 20)
    shift = np.full(20, 0.5, dtype=np.float32)
    assert monge_distance(fake + shift, fake) == pytest.approx(3 * shift @ shift, rel=0.1)
    large = features(1000, 8, 20)
    assert 0 < monge_distance(fake, large) == monge_distance(fake, large) < 1  # a fixed choice of the larger set


@pytest.mark.parametrize("count", [97, 10, 7])
def test_inception_score_by_its_definition_and_by_torch_fidelitys(count: int) -> None:
    logits = torch.from_numpy(3 * features(count, 9, 12))
    collected = ClassScore(count)
    for part in logits.split(11):
        collected.add(part)
    found = collected.value()
    order = np.random.RandomState(2020).permutation(count)
    splits, scores = min(10, count), []
    for index in range(splits):
        chosen = logits.double().numpy()[order[index * count // splits : (index + 1) * count // splits]]
        p = np.exp(chosen) / np.exp(chosen).sum(axis=1, keepdims=True)
        scores.append(np.exp((p * np.log(p / p.mean(axis=0))).sum(axis=1).mean()))
    assert (found, found.error["sd_over_splits"]) == pytest.approx((np.mean(scores), np.std(scores)), rel=1e-9)
    if count >= 10:
        theirs = isc_features_to_metric(logits)
        wanted = theirs[KEY_METRIC_ISC_MEAN], theirs[KEY_METRIC_ISC_STD]
        assert (found, found.error["sd_over_splits"]) == pytest.approx(wanted, rel=1e-9, abs=1e-9)


def test_inception_score_at_its_ends() -> None:
    one, each = ClassScore(40), ClassScore(400)
    one.add(torch.eye(5)[torch.zeros(40, dtype=torch.long)] * 1e4)
    each.add(torch.eye(5).repeat(80, 1) * 1e4)
    assert one.value() == pytest.approx(1)  # the same class for all
    assert each.value() == pytest.approx(5, rel=0.05)  # every class, and each image of one


def test_a_kernel_distance_knows_its_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "SUBSETS", 16)
    monkeypatch.setattr(kernel, "SUBSET", 100)
    fake, real = features(150, 10, 5).astype(float), features(120, 11, 5).astype(float)
    chance, distances = np.random.RandomState(2020), []
    for _ in range(16):
        one, two = (each[chance.choice(len(each), 100, replace=False)] for each in (fake, real))
        own, across, other = ((x @ y.T / 5 + 1) ** 3 for x, y in ((one, one), (one, two), (two, two)))
        within = [each.sum() - each.trace() for each in (own, other)]
        distances.append(sum(within) / (100 * 99) - 2 * across.mean())
    found = kernel_distance(fake, real)
    assert found == pytest.approx(np.mean(distances), rel=1e-9)
    assert found.error == {"se_over_subsets": pytest.approx(np.std(distances) / 4, rel=1e-9)}
    assert kernel_distance(fake, real[:90]).error == {}  # each subset has all of these


def statistics_with_classes(values: torch.Tensor) -> Statistics:
    collector = Collector(len(values), keep_features=True, classify=lambda features: features[:, :3])
    for part in values.split(9):
        collector.add(part)
    return collector.statistics()


def test_identical_sets() -> None:
    both = statistics_with_classes(torch.from_numpy(features(80, 12)))
    found = measure(FEATURE_METRICS, both, both)
    assert set(found) == set(FEATURE_METRICS)
    for metric in ("precision", "recall", "coverage"):
        assert found[metric] == 1
    assert found["mind"] == 0
    assert found["frechet"] == pytest.approx(0, abs=1e-9)
    assert found["density"] == pytest.approx(1, abs=0.01)
    assert found["kernel"] < 0  # unbiased: its mean is 0 over sets of one distribution, and here they agree better
    assert found["inception_score"] >= 1


# --- names, and what can be asked for ---------------------------------------------------------------------------------


def protocol(features: str, metric: str, **changes: object) -> Protocol:
    return Protocol(features, "w", 9000, 9000, "batch", 9, "d", metric, **changes)


def test_each_has_a_name_of_its_own() -> None:
    names = {f: [protocol(f, m).score_name for m in FEATURE_METRICS] for f in ("inception", "pixels", "dinov2")}
    assert names["pixels"][:-2] == [
        *("fd_pixels", "kd_pixels", "precision_pixels", "recall_pixels", "density_pixels", "coverage_pixels")
    ]
    assert names["inception"] == [
        *("fid", "kid", "precision_inception", "recall_inception", "density_inception", "coverage_inception"),
        *("inception_score", "mind_inception"),
    ]
    assert (names["dinov2"][0], names["dinov2"][-1]) == ("fd_dinov2", "mind_dinov2")
    assert protocol("dinov2-vitb14", "frechet").score_name == "fd_dinov2-vitb14"
    assert protocol("inception", "recall", generator="ema").score_name == "recall_inception_ema"
    everything = [name for each in names.values() for name in each]
    assert len(set(everything)) == len(everything)


def test_only_with_classes_there_is_an_inception_score() -> None:
    assert metrics_of("inception", list(FAMILIES)) == FEATURE_METRICS
    assert metrics_of("pixels", ["inception_score", "kid"]) == ("kernel",)
    assert metrics_of("points", ["frechet"]) == ("modes", "high_quality", "wasserstein")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("fid.metrics=[kis]", r"fid\.metrics=\[kis\]: did you mean kid\?"),
        ("fid.metrics=[]", r"fid\.metrics=\[\]: must name at least one"),
        ("fid.metrics=[kid,kid]", r"fid\.metrics=\[kid,kid\]: names one twice"),
        (
            "fid.metrics=[frechet,inception_score] fid.features=[pixels]",
            r"fid\.metrics=\[frechet,inception_score\]: inception_score needs classes, which pixels has none of; use ",
        ),
        (
            "fid.metrics=inception_score fid.features=[inception,pixels]",
            r"fid\.metrics=\[inception_score\]: inception_score needs classes, which pixels has none of",
        ),
        ("fid.metrics=kid data=ring8", r"fid\.metrics=\[kid\]: points have scores of their own, and always all"),
        ("fid.sampling_seeds=0", r"fid\.sampling_seeds=0: must be at least 1"),
    ],
)
def test_what_cannot_be_computed_is_refused_by_name(
    settings: str, message: str, compose_config: Callable[..., Config]
) -> None:
    with pytest.raises(UserError, match=message) as refusal:
        compose_config(*settings.split())
    assert "\n" not in str(refusal.value)


def some_images(count: int, seed: int) -> ImageDataset:
    chosen = torch.randint(0, 256, (count, 3, 8, 8), dtype=torch.uint8, generator=stream(seed, "test"))
    return ImageDataset.from_images("folder", f"seed {seed}", chosen)


def test_too_few_images_for_neighbours_are_refused(compose_config: Callable[..., Config]) -> None:
    fid = compose_config("fid.features=pixels", "fid.metrics=[frechet,density_coverage]", "fid.num_samples=5").fid
    with pytest.raises(UserError, match=r"^fid\.num_samples=5: too few for fid\.metrics=\[.*\], .* 5 .*at least 6$"):
        Scorer(fid, some_images(9, 1), CPU)
    fid.num_samples = 6
    with pytest.raises(UserError, match=r"^seed 1: 5 real images: too few"):
        Scorer(fid, some_images(5, 1), CPU)
    with pytest.raises(UserError, match=r"^seed 2: 4 images: too few"):
        Scorer(fid, some_images(9, 1), CPU).score_images(some_images(4, 2))


def test_all_come_from_one_pass_through_each_extractor(
    compose_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    original = Extractor.__call__

    def counted(self: Extractor, images: torch.Tensor) -> torch.Tensor:
        seen.append(len(images))
        return original(self, images)

    monkeypatch.setattr(Extractor, "__call__", counted)
    families = [name for name in FAMILIES if name != "inception_score"]
    fid = compose_config("fid.features=pixels", f"fid.metrics=[{','.join(families)}]", "fid.batch_size=7").fid
    scorer = Scorer(fid, some_images(30, 1), CPU)
    fakes = some_images(20, 2)
    found = scorer.score_images(fakes)
    assert sum(seen) == 50
    assert list(found) == list(scorer.protocols("none", 20))
    extractor = scorer.extractors[0]
    fake, real = (statistics_of(extractor(each.images), keep_features=True) for each in (fakes, some_images(30, 1)))
    wanted = measure([p.metric for p in scorer.protocols().values()], fake, real)
    by_name = {protocol("pixels", metric).score_name: value for metric, value in wanted.items()}
    assert found == pytest.approx(by_name, rel=1e-5)


def test_what_stands_beside_a_biased_distance_unasked_is_what_it_was(compose_config: Callable[..., Config]) -> None:
    fid = compose_config("fid.features=pixels").fid
    assert list(Scorer(fid, some_images(30, 1), CPU).score_images(some_images(20, 2))) == ["fd_pixels", "kd_pixels"]
    assert register.attributes("extractor", "pixels")["dimensions"] > 30
    fid.metrics = ["kid"]
    assert list(Scorer(fid, some_images(30, 1), CPU).score_images(some_images(20, 2))) == ["kd_pixels"]
