"""The residual architectures, and resize32: counts, initialisation, and each block against its formula in float64."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rgan_bench.config.schema import Config
from rgan_bench.data.load import load_data
from rgan_bench.errors import UserError
from rgan_bench.gan.networks import build_networks, count_parameters
from rgan_bench.gan.networks.r3gan32 import Block, Downsample, Upsample
from rgan_bench.gan.networks.snresnet32 import DownBlock, UpBlock
from rgan_bench.training.accelerate import Accelerator
from rgan_bench.training.loop import train
from rgan_bench.training.state import TrainState
from tests.gan.test_networks import arch, has_spectral_norm, kinds

CPU = torch.device("cpu")
Tiny = Callable[..., Config]
R3GAN = {"name": "r3gan32", "width": 8, "latent_dim": 64, "spectral_norm": False, "batch_norm": "none"}
RESIZE = {"name": "resize32", "width": 4, "latent_dim": 64, "spectral_norm": False}
SMALL = {"snresnet32": {"name": "snresnet32", "width": 4}, "r3gan32": R3GAN, "resize32": RESIZE}
OVERRIDES = {name: (f"arch={name}", f"arch.width={choices['width']}") for name, choices in SMALL.items()}
ACTIVATIONS = {"snresnet32": [7, 8], "r3gan32": [16, 16], "resize32": [4, 7]}  # in the generator, in the discriminator
both = pytest.mark.parametrize("name", SMALL)


@pytest.mark.parametrize(
    ("name", "width", "generator_count", "discriminator_count"),
    [("snresnet32", 256, 4_276_739, 1_053_825), ("r3gan32", 768, 20_732_160, 20_683_776)],
)
def test_parameter_counts_of_the_papers(name: str, width: int, generator_count: int, discriminator_count: int) -> None:
    generator, discriminator = build_networks(arch(**SMALL[name] | {"width": width}), seed=1)
    assert count_parameters(generator) == generator_count
    assert count_parameters(discriminator) == discriminator_count


@both
@pytest.mark.parametrize("pac", [1, 2])
def test_shapes_and_gradients(name: str, pac: int) -> None:
    generator, discriminator = build_networks(arch(**SMALL[name], pac=pac), seed=1)
    images = generator(torch.randn(4, generator.latent_dim))
    assert images.shape == (4, 3, 32, 32)
    assert discriminator.pac == pac
    logits = discriminator(images.reshape(4 // pac, 3 * pac, 32, 32))
    assert logits.shape == (4 // pac, 1)
    logits.square().sum().backward()
    for parameter in [*generator.parameters(), *discriminator.parameters()]:
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()


@both
def test_the_range_of_images(name: str) -> None:
    generator, _ = build_networks(arch(**SMALL[name]), seed=1)
    largest = generator(50 * torch.randn(64, generator.latent_dim)).abs().max()
    assert largest > 2 if name == "r3gan32" else largest <= 1  # r3gan32 has no tanh at its end


@both
def test_channels_last_changes_nothing_but_the_layout(name: str) -> None:
    for network in build_networks(arch(**SMALL[name]), seed=1):
        network.double().eval()
        given = torch.randn(2, *((network.latent_dim,) if hasattr(network, "latent_dim") else (3, 32, 32))).double()
        plain = network(given)
        network.to(memory_format=torch.channels_last)
        if given.dim() == 4:
            given = given.contiguous(memory_format=torch.channels_last)
        found = network(given)
        torch.testing.assert_close(found, plain, check_stride=False)
        assert found.dim() == 2 or found.is_contiguous(memory_format=torch.channels_last)


@both
def test_tanh_everywhere(name: str) -> None:
    default = [len(kinds(network, (nn.ReLU, nn.LeakyReLU))) for network in build_networks(arch(**SMALL[name]), seed=1)]
    for network, count in zip(build_networks(arch(**SMALL[name], activation="tanh"), seed=1), default, strict=True):
        assert not kinds(network, (nn.ReLU, nn.LeakyReLU))
        at_the_end = name != "r3gan32" and hasattr(network, "latent_dim")
        assert len(kinds(network, nn.Tanh)) == count + at_the_end
    assert default == ACTIVATIONS[name]


# --- snresnet32 -------------------------------------------------------------------------------------------------------


def test_snresnet_widths() -> None:
    _, discriminator = build_networks(arch(name="snresnet32", width=6), seed=1)
    assert {layer.out_channels for layer in kinds(discriminator, nn.Conv2d)} == {3}
    _, narrowest = build_networks(arch(name="snresnet32", width=1), seed=1)
    assert narrowest(torch.randn(2, 3, 32, 32)).isfinite().all()


def test_snresnet_batch_norm_is_the_generators_alone() -> None:
    for batch_norm, count in (("generator", 7), ("none", 0)):
        generator, discriminator = build_networks(arch(**SMALL["snresnet32"], batch_norm=batch_norm), seed=1)
        assert (len(kinds(generator, nn.BatchNorm2d)), len(kinds(discriminator, nn.BatchNorm2d))) == (count, 0)


def test_snresnet_initialisation() -> None:
    """Uniform within gain·√(6 / (fan_in + fan_out)); under spectral norm that of the weight before it."""
    for network in build_networks(arch(name="snresnet32", width=64), seed=1):
        strong = 0
        for path, layer in network.named_modules():
            if not isinstance(layer, (nn.Conv2d, nn.Linear)):
                continue
            free = layer.parametrizations.weight.original if has_spectral_norm(layer) else layer.weight
            inside = "residual" in path  # where the 3×3 convolutions of blocks are
            area = free[0, 0].numel()
            bound = (math.sqrt(2) if inside else 1) * math.sqrt(6 / (area * sum(free.shape[:2])))
            assert 0.8 * bound < free.abs().max().item() <= bound
            assert free.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.2 if free.numel() < 500 else 0.05)
            assert not layer.bias.any()
            strong += inside
        assert strong == (6 if hasattr(network, "latent_dim") else 8)


def test_snresnet_has_spectral_norm_on_every_layer_of_the_discriminator_and_none_in_the_generator() -> None:
    generator, discriminator = build_networks(arch(**SMALL["snresnet32"]), seed=1)
    layers = kinds(discriminator, (nn.Conv2d, nn.Linear))
    assert len(layers) == 11
    assert all(map(has_spectral_norm, layers))
    assert not any(map(has_spectral_norm, kinds(generator, (nn.Conv2d, nn.Linear))))
    with torch.no_grad():
        for _ in range(300):
            discriminator(torch.randn(1, 3, 32, 32))
        for layer in layers:
            assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, rel=2e-3)
    _, without = build_networks(arch(**SMALL["snresnet32"], spectral_norm=False), seed=1)
    assert not any(map(has_spectral_norm, kinds(without, (nn.Conv2d, nn.Linear))))


def convolved(features: Tensor, layer: nn.Module) -> Tensor:
    assert isinstance(layer, nn.Conv2d)
    return F.conv2d(features, layer.weight, layer.bias, padding=layer.kernel_size[0] // 2)


def normalised(features: Tensor) -> Tensor:
    """Batch norm as it starts, in training mode."""
    centred = features - features.mean((0, 2, 3), keepdim=True)
    return centred / (centred.square().mean((0, 2, 3), keepdim=True) + 1e-5).sqrt()


def twice(features: Tensor) -> Tensor:
    """Nearest neighbours."""
    return features.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


def halved(features: Tensor) -> Tensor:
    return sum(features[:, :, row::2, column::2] for row in (0, 1) for column in (0, 1)) / 4


@pytest.mark.parametrize("batch_norm", [True, False])
def test_an_up_block_is_its_formula(batch_norm: bool) -> None:
    """The shortcut in the paper's order: first ×2, then the convolution."""
    torch.manual_seed(0)
    block = UpBlock(3, batch_norm=batch_norm, activation="default").double()
    for parameter in block.parameters():
        if parameter.dim() == 1 and not batch_norm:
            nn.init.normal_(parameter)  # biases take part
    norm = normalised if batch_norm else nn.Identity()
    features = torch.randn(4, 3, 4, 4).double()
    one, two, side = kinds(block, nn.Conv2d)
    wanted = convolved(F.relu(norm(convolved(twice(F.relu(norm(features))), one))), two)
    wanted = wanted + convolved(twice(features), side)
    torch.testing.assert_close(block(features.clone()), wanted)


@pytest.mark.parametrize(("first", "pool"), [(True, True), (False, True), (False, False)])
def test_a_down_block_is_its_formula(first: bool, pool: bool) -> None:
    """The shortcut in the paper's order: of the first block average-pool, convolution; of the second the other way."""
    torch.manual_seed(0)
    block = DownBlock(3, 3, activation="default", first=first, pool=pool).double()
    for parameter in block.parameters():
        nn.init.normal_(parameter)
    features = torch.randn(4, 3, 8, 8).double()
    one, two, *side = kinds(block, nn.Conv2d)
    wanted = convolved(F.relu(convolved(features if first else F.relu(features), one)), two)
    if not pool:
        wanted = wanted + features
    else:
        wanted = halved(wanted)
        wanted = wanted + (convolved(halved(features), *side) if first else halved(convolved(features, *side)))
    torch.testing.assert_close(block(features.clone()), wanted)


def test_the_snresnet_discriminator_sums_over_positions() -> None:
    _, discriminator = build_networks(arch(**SMALL["snresnet32"], spectral_norm=False), seed=1)
    discriminator.double()
    images = torch.randn(2, 3, 32, 32).double()
    features = F.relu(discriminator.blocks(images))
    assert features.shape == (2, 2, 8, 8)
    wanted = torch.einsum("bchw,oc->bo", features, discriminator.judge.weight)  # the bias starts at zero
    torch.testing.assert_close(discriminator(images), wanted)


# --- r3gan32 ----------------------------------------------------------------------------------------------------------


def test_r3gan_has_no_norm_and_biases_within_blocks_only() -> None:
    for network in build_networks(arch(**R3GAN), seed=1):
        assert not kinds(network, nn.BatchNorm2d)
        assert not any(map(has_spectral_norm, kinds(network, (nn.Conv2d, nn.Linear))))
        biased = [path for path, _ in network.named_parameters() if path.endswith("bias")]
        assert len(biased) == 16
        assert all("residual" in path for path in biased)
        assert {layer.negative_slope for layer in kinds(network, nn.LeakyReLU)} == {0.2}
        grouped = [layer for layer in kinds(network, nn.Conv2d) if layer.kernel_size == (3, 3)]
        assert {layer.weight.shape[1] for layer in grouped} == {16}


def test_r3gan_initialisation() -> None:
    generator, discriminator = build_networks(arch(**R3GAN | {"width": 64}), seed=1)
    gain = math.sqrt(2 / 1.04) * 8**-0.25
    for network in (generator, discriminator):
        blocks = kinds(network, Block)
        assert len(blocks) == 8
        for block in blocks:
            first, second, third = kinds(block, nn.Conv2d)
            assert first.weight.std().item() == pytest.approx(gain / math.sqrt(64), rel=0.05)
            assert second.weight.std().item() == pytest.approx(gain / math.sqrt(9 * 16), rel=0.05)
            assert not third.weight.any()
            assert not first.bias.any()
            assert not second.bias.any()
            assert third.bias is None
    rest = [
        (generator.constant, 1.0),
        (generator.scale.weight, 1 / math.sqrt(64)),
        (generator.layers[-1].weight, 1 / math.sqrt(64)),
        (discriminator.layers[0].weight, 1 / math.sqrt(3)),
        (discriminator.layers[-1].weight, 1 / math.sqrt(4 * 4)),
        (discriminator.judge.weight, 1 / math.sqrt(64)),
    ]
    for weight, deviation in rest:
        assert weight.std().item() == pytest.approx(deviation, rel=4 / math.sqrt(2 * weight.numel()))


def test_r3gan_blocks_start_as_the_identity() -> None:
    for network in build_networks(arch(**R3GAN), seed=1):
        for block in kinds(network, Block):
            features = torch.randn(2, 8, 4, 4)
            assert torch.equal(block(features), features)


def test_an_r3gan_block_is_its_formula() -> None:
    torch.manual_seed(0)
    block = Block(16, "default").double()
    for parameter in block.parameters():
        nn.init.normal_(parameter)
    first, second, third = kinds(block, nn.Conv2d)
    features = torch.randn(2, 16, 4, 4).double()

    def leaky(value: Tensor, bias: Tensor) -> Tensor:
        value = value + bias[:, None, None]
        return torch.where(value > 0, value, 0.2 * value)

    inner = leaky(torch.einsum("bchw,oc->bohw", features, first.weight[:, :, 0, 0]), first.bias)
    halves = [  # two groups of 16 channels
        F.conv2d(inner[:, start : start + 16], second.weight[start : start + 16], padding=1) for start in (0, 16)
    ]
    inner = leaky(torch.cat(halves, dim=1), second.bias)
    wanted = features + torch.einsum("bchw,oc->bohw", inner, third.weight[:, :, 0, 0])
    torch.testing.assert_close(block(features), wanted)


def kernel_of_the_paper() -> Tensor:
    """conv([1, 2, 1], [1, 1]) in both directions, summing to 1."""
    line = torch.zeros(4).double()
    for place, weight in enumerate((1, 2, 1)):
        line[place : place + 2] += weight
    return torch.outer(line, line) / line.sum() ** 2


def filtered(image: Tensor, kernel: Tensor) -> Tensor:
    """One channel [H, W] with zeros around it → [H + 3, W + 3]: every place where kernel and image overlap."""
    padded = F.pad(image, (3, 3, 3, 3))
    height, width = (size + 3 for size in image.shape)
    return sum(
        kernel[row, column] * padded[3 - row : 3 - row + height, 3 - column : 3 - column + width]
        for row in range(4)
        for column in range(4)
    )


def test_twice_the_size_is_zeros_in_between_and_the_filter() -> None:
    features = torch.randn(2, 3, 5, 5).double()
    found = Upsample(3).double()(features)
    assert found.shape == (2, 3, 10, 10)
    for index in range(2):
        for channel in range(3):
            sparse = torch.zeros(10, 10).double()
            sparse[::2, ::2] = features[index, channel]
            wanted = filtered(sparse, 4 * kernel_of_the_paper())[1:11, 1:11]  # centred: a pixel spreads over 4×4
            torch.testing.assert_close(found[index, channel], wanted)
    constant = Upsample(1)(torch.ones(1, 1, 6, 6))
    torch.testing.assert_close(constant[..., 1:-1, 1:-1], torch.ones(1, 1, 10, 10))


def test_half_the_size_is_the_filter_at_every_second_pixel() -> None:
    features = torch.randn(2, 3, 10, 10).double()
    found = Downsample(3).double()(features)
    assert found.shape == (2, 3, 5, 5)
    for index in range(2):
        for channel in range(3):
            wanted = filtered(features[index, channel], kernel_of_the_paper())[2:12:2, 2:12:2]
            torch.testing.assert_close(found[index, channel], wanted)
    torch.testing.assert_close(Downsample(1)(torch.ones(1, 1, 8, 8))[..., 1:-1, 1:-1], torch.ones(1, 1, 2, 2))


def test_the_resampling_mirrors_itself() -> None:
    """Both filters are symmetric, so that a flipped image is resampled to a flipped image; no half pixel is lost."""
    features = torch.randn(1, 2, 8, 8).double()
    for layer in (Upsample(2).double(), Downsample(2).double()):
        torch.testing.assert_close(layer(features.flip(2, 3)), layer(features).flip(2, 3))


def test_filters_are_no_part_of_a_checkpoint() -> None:
    for network in build_networks(arch(**R3GAN), seed=1):
        assert kinds(network, (Upsample, Downsample))
        assert len(network.state_dict()) == len(list(network.parameters()))


# --- training ---------------------------------------------------------------------------------------------------------


def trained(config: Config, iterations: int, saved: dict | None = None, mode: str = "auto") -> dict:
    accelerator = Accelerator(mode, CPU)
    state = TrainState.new(config, CPU, **accelerator.of_state)
    if saved is not None:
        state.load_state_dict(saved)
    config.train.iterations = iterations
    for measured in train(state, load_data(config.data, config.limits), config, accelerator):
        assert all(torch.isfinite(value) for value in measured.values())
    return state.state_dict()


def tensors_of(value: object) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [tensor for item in items for tensor in tensors_of(item)]


@both
@pytest.mark.parametrize("loss", ["rsgan", "wgangp"])
@pytest.mark.parametrize("pac", [1, 2])
def test_trains_and_resumes_bit_for_bit(name: str, loss: str, pac: int, tiny_config: Tiny) -> None:
    config = tiny_config(*OVERRIDES[name], f"loss={loss}", f"arch.pac={pac}", "train.batch_size=4")
    whole = trained(config, 2)
    parts = trained(config, 2, saved=trained(config, 1))
    for one, two in zip(tensors_of(whole), tensors_of(parts), strict=True):
        assert torch.equal(one, two)
    new = TrainState.new(config, CPU).state_dict()
    for network in ("generator", "discriminator"):
        assert any(not torch.equal(new[network][key], whole[network][key]) for key in new[network])


@both
@pytest.mark.parametrize("loss", ["rsgan", "wgangp"])
def test_accelerated_is_plain_but_for_rounding(
    name: str, loss: str, tiny_config: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rgan_bench.training.convolutions.FEWEST_CHANNELS", 0)
    config = tiny_config(*OVERRIDES[name], f"loss={loss}", "train.batch_size=4")
    build = build_networks

    # Adam's first step is the sign of a gradient, and rounding must not decide it.
    def in_double(*arguments: object) -> tuple[nn.Module, ...]:
        networks = build(*arguments)
        for network in networks:
            network.double().register_forward_pre_hook(lambda module, inputs: tuple(each.double() for each in inputs))
        return networks

    monkeypatch.setattr("rgan_bench.training.state.build_networks", in_double)
    plain, fast = (trained(config, 3, mode=mode) for mode in ("none", "auto"))
    for network in ("generator", "discriminator"):
        for key, value in plain[network].items():
            torch.testing.assert_close(value, fast[network][key], check_stride=False, rtol=1e-6, atol=1e-8)


# --- resize32 ---------------------------------------------------------------------------------------------------------


def test_resize32_keeps_signals_at_their_size() -> None:
    """After He et al.: an untrained layer's inputs have the mean square of the first one's, a narrow layer's too."""
    generator, discriminator = build_networks(arch(**RESIZE), seed=1)
    squares: list[float] = []
    for layer in kinds(discriminator, (nn.Conv2d, nn.Linear)):
        layer.register_forward_pre_hook(lambda layer, inputs: squares.append(inputs[0].square().mean().item()))
    discriminator(torch.randn(64, 3, 32, 32))
    assert len(squares) == 8
    assert all(0.1 < square < 3 for square in squares)
    images = generator(torch.randn(64, 64))
    assert 0.1 < images.std() < 0.5
    assert not kinds(generator, nn.ConvTranspose2d)


# --- what they cannot be ----------------------------------------------------------------------------------------------

REFUSED = [
    ("arch=snresnet32 arch.batch_norm=both", r"arch\.batch_norm=both: arch=snresnet32 can only have generator or none"),
    ("arch=r3gan32 arch.width=12", r"arch\.width=12: arch=r3gan32 needs a multiple of 8; set arch\.width=16"),
    ("arch=r3gan32 arch.width=0", r"arch\.width=0: must be at least 1"),
    ("arch=r3gan32 arch.batch_norm=generator", r"arch\.batch_norm=generator: arch=r3gan32 can only have none; "),
    ("arch=r3gan32 arch.spectral_norm=true", r"arch\.spectral_norm=true: arch=r3gan32 can only have false; "),
    ("arch=resize32 arch.spectral_norm=true", r"arch\.spectral_norm=true: arch=resize32 can only have false; "),
    ("arch=r3gan32 arch.image_size=64", r"arch\.image_size=64: arch=r3gan32 is 32×32 only"),
]  # fmt: skip


@pytest.mark.parametrize(("overrides", "message"), REFUSED, ids=[overrides for overrides, _ in REFUSED])
def test_refused(overrides: str, message: str, compose_config: Tiny) -> None:
    with pytest.raises(UserError, match=message) as refusal:
        compose_config(*overrides.split())
    assert "\n" not in str(refusal.value)


def test_the_experiment_is_the_paper_s(compose_config: Tiny) -> None:
    config = compose_config("experiment=sngan_resnet")
    assert (config.loss.name, config.data.name, config.arch.name) == ("hinge", "cifar10", "snresnet32")
    assert (config.arch.width, config.arch.spectral_norm, config.arch.batch_norm) == (256, True, "generator")
    assert (config.optim.lr, config.optim.betas, config.optim.n_d) == (2e-4, [0, 0.9], 5)
    assert config.train.batch_size == 64
    assert compose_config("experiment=sngan_resnet", "loss=rahinge").loss.name == "rahinge"
