"""Weight gradients as products against PyTorch's own, in float64."""

import pytest
import torch
from torch import Tensor, nn

from rgan_bench.training import convolutions
from rgan_bench.training.convolutions import weight_gradient, weight_gradients_as_products

LAYERS = {
    "3 by 3": lambda: nn.Conv2d(5, 7, 3, 1, padding=1),
    "4 by 4, stride 2": lambda: nn.Conv2d(5, 7, 4, 2, padding=1),
    "rows that no step reaches": lambda: nn.Conv2d(5, 7, 3, 2),
    "no padding, no bias": lambda: nn.Conv2d(5, 7, 4, 1, bias=False),
    "oblong": lambda: nn.Conv2d(5, 7, (3, 4), (1, 2), padding=(2, 1)),
    "transposed": lambda: nn.ConvTranspose2d(5, 7, 4, 2, padding=1),
    "transposed, output padding": lambda: nn.ConvTranspose2d(5, 7, 3, 2, padding=1, output_padding=1),
    "transposed, no padding": lambda: nn.ConvTranspose2d(5, 7, 4, bias=False),
}
NOT_OURS = {
    "groups": lambda: nn.Conv2d(6, 8, 3, groups=2),
    "dilation": lambda: nn.Conv2d(6, 8, 3, dilation=2),
}


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each weight gradient that was computed as a product. Layers of any size are."""
    monkeypatch.setattr(convolutions, "FEWEST_CHANNELS", 0)
    count: list[int] = []

    def counted(*arguments: object) -> Tensor:
        count.append(1)
        return weight_gradient(*arguments)

    monkeypatch.setattr(convolutions, "weight_gradient", counted)
    return count


def last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last)


def make(name: str) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    layer = {**LAYERS, **NOT_OURS}[name]().double().to(memory_format=torch.channels_last)
    return layer, last(torch.randn(3, layer.in_channels, 8, 8).double()).requires_grad_()


def gradients(layer: nn.Module, images: Tensor, *, penalty: bool = False) -> list[Tensor]:
    layer.zero_grad()
    images.grad = None
    value = layer(images).sin().sum()
    if penalty:
        (inner,) = torch.autograd.grad(value, images, create_graph=True)
        value = value + inner.square().sum()
    value.backward()
    return [images.grad, *(parameter.grad for parameter in layer.parameters())]


@pytest.mark.parametrize("penalty", [False, True], ids=["once", "twice"])
@pytest.mark.parametrize("name", [*LAYERS, *NOT_OURS])
def test_gradients_are_pytorchs(name: str, penalty: bool, products: list[int]) -> None:
    layer, images = make(name)
    theirs = gradients(layer, images, penalty=penalty)
    assert not products
    with weight_gradients_as_products():
        ours = gradients(layer, images, penalty=penalty)
    assert len(products) >= 1 if name in LAYERS else not products
    for one, two in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, two)


def test_what_nobody_asks_for_is_not_computed(products: list[int]) -> None:
    """As the discriminator's weight gradients in the generator's step."""
    layer, images = make("3 by 3")
    with weight_gradients_as_products():
        (found,) = torch.autograd.grad(layer(images).sin().sum(), images)
    assert not products
    torch.testing.assert_close(found, gradients(layer, images)[0])


def test_only_within_and_also_after_an_error(products: list[int]) -> None:
    layer, images = make("transposed")
    with pytest.raises(KeyError), weight_gradients_as_products():
        raise KeyError
    gradients(layer, images)
    assert not products
    with weight_gradients_as_products():
        with weight_gradients_as_products():
            pass
        gradients(layer, images)
    assert len(products) == 1


def test_only_where_it_pays(products: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    layer, images = make("4 by 4, stride 2")

    def count() -> int:
        products.clear()
        with weight_gradients_as_products():
            gradients(layer, images)
        return len(products)

    assert count() == 1
    monkeypatch.setattr(convolutions, "FEWEST_CHANNELS", 8)  # the layer has 7
    assert count() == 0
    monkeypatch.setattr(convolutions, "FEWEST_CHANNELS", 7)
    columns = 3 * 4 * 4 * 5 * 4 * 4 * 8  # output pixels, input channels, the kernel, bytes
    monkeypatch.setattr(convolutions, "MOST_COLUMN_BYTES", columns - 1)
    assert count() == 0
    monkeypatch.setattr(convolutions, "MOST_COLUMN_BYTES", columns)
    assert count() == 1
    layer.to(memory_format=torch.contiguous_format)
    assert count() == 0


def test_a_discriminator_of_full_width_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thresholds let the layers through that they were measured on: D's last three, G's first two."""
    from rgan_bench.gan.networks.cnn32 import Discriminator, Generator

    seen: list[tuple[int, ...]] = []

    def noted(wide: Tensor, narrow: Tensor, *settings: object) -> Tensor:
        seen.append(tuple(narrow.shape[1:]))
        return weight_gradient(wide, narrow, *settings)

    monkeypatch.setattr(convolutions, "weight_gradient", noted)
    common = {"width": 64, "batch_norm": False, "activation": "default"}
    discriminator = Discriminator(pac=1, spectral_norm=True, **common).to(memory_format=torch.channels_last)
    generator = Generator(latent_dim=128, **common).to(memory_format=torch.channels_last)
    with weight_gradients_as_products():
        discriminator(last(generator(torch.randn(4, 128)))).sum().backward()
    assert seen == [(512, 4, 4), (256, 4, 4), (256, 8, 8), (256, 8, 8), (512, 4, 4)]
