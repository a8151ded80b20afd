"""The architectures against the counts and the initialisation of the paper's scripts."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from rgan_bench.gan.networks import build_networks, count_parameters
from rgan_bench.gan.networks.spectral import add_spectral_norm, as_matrix


def arch(**changes: object) -> SimpleNamespace:
    paper = {"name": "cnn32", "image_size": 32, "latent_dim": 128, "width": 64, "pac": 1}
    paper |= {"spectral_norm": True, "batch_norm": "generator", "activation": "default"}
    return SimpleNamespace(**(paper | changes))


def dcgan(size: int, **changes: object) -> SimpleNamespace:
    defaults = {"name": f"dcgan{size}", "image_size": size, "spectral_norm": False, "batch_norm": "both"}
    return arch(**(defaults | changes))


def kinds(network: nn.Module, kind: type) -> list[nn.Module]:
    return [module for module in network.modules() if isinstance(module, kind)]


def has_spectral_norm(module: nn.Module) -> bool:
    return nn.utils.parametrize.is_parametrized(module, "weight")


@pytest.mark.parametrize("spectral_norm", [True, False])
def test_parameter_counts_of_the_paper(spectral_norm: bool) -> None:
    generator, discriminator = build_networks(arch(spectral_norm=spectral_norm), seed=1)
    assert count_parameters(generator) == 3_812_355
    assert count_parameters(discriminator) == 2_935_873


def test_shapes_and_range() -> None:
    generator, discriminator = build_networks(arch(width=4), seed=1)
    images = generator(torch.randn(5, 128))
    assert images.shape == (5, 3, 32, 32)
    assert images.abs().max() <= 1
    assert discriminator(images).shape == (5, 1)


def test_stable_setup_has_spectral_norm_on_convolutions_only() -> None:
    generator, discriminator = build_networks(arch(width=4), seed=1)
    assert len(kinds(discriminator, nn.Conv2d)) == 7
    assert all(map(has_spectral_norm, kinds(discriminator, nn.Conv2d)))
    assert not any(map(has_spectral_norm, kinds(discriminator, nn.Linear)))
    assert not any(map(has_spectral_norm, [*kinds(generator, nn.Conv2d), *kinds(generator, nn.ConvTranspose2d)]))
    assert (len(kinds(generator, nn.BatchNorm2d)), len(kinds(discriminator, nn.BatchNorm2d))) == (3, 0)


def test_unstable_setup_has_batch_norm_after_every_convolution_but_the_last() -> None:
    _, discriminator = build_networks(arch(width=4, spectral_norm=False, batch_norm="both"), seed=1)
    order = [type(layer).__name__ for layer in discriminator.features]
    assert order == ["Conv2d", "BatchNorm2d", "LeakyReLU"] * 6 + ["Conv2d", "LeakyReLU"]


def test_no_batch_norm() -> None:
    for network in build_networks(arch(width=4, batch_norm="none"), seed=1):
        assert not kinds(network, nn.BatchNorm2d)


def test_tanh_everywhere() -> None:
    for network in build_networks(arch(width=4, activation="tanh"), seed=1):
        assert not kinds(network, (nn.ReLU, nn.LeakyReLU))
    generator, discriminator = build_networks(arch(width=4, activation="tanh"), seed=1)
    assert (len(kinds(generator, nn.Tanh)), len(kinds(discriminator, nn.Tanh))) == (4, 7)


def test_default_activations() -> None:
    _, discriminator = build_networks(arch(width=4), seed=1)
    assert {layer.negative_slope for layer in kinds(discriminator, nn.LeakyReLU)} == {0.1}


@pytest.mark.parametrize("spectral_norm", [True, False])
def test_initialisation(spectral_norm: bool) -> None:
    generator, discriminator = build_networks(arch(spectral_norm=spectral_norm), seed=1)
    convolutions = [*kinds(generator, (nn.Conv2d, nn.ConvTranspose2d)), *kinds(discriminator, nn.Conv2d)]
    for convolution in convolutions:
        # Under spectral norm the free parameter is the original, and that is what was initialised.
        free = convolution.parametrizations.weight.original if has_spectral_norm(convolution) else convolution.weight
        assert free.std().item() == pytest.approx(0.02, rel=0.1)
        assert free.mean().abs().item() < 0.003
        # PyTorch's default: uniform within 1/sqrt(fan in); not zero.
        bound = nn.init._calculate_fan_in_and_fan_out(free)[0] ** -0.5
        assert 0 < convolution.bias.abs().max() <= bound
    for norm in kinds(generator, nn.BatchNorm2d):
        assert norm.weight.mean().item() == pytest.approx(1, abs=0.02)
        assert 0.01 < norm.weight.std().item() < 0.03
        assert not norm.bias.any()
    for linear in [*kinds(generator, nn.Linear), *kinds(discriminator, nn.Linear)]:
        bound = linear.in_features**-0.5  # PyTorch's default: uniform, hence a standard deviation of bound/sqrt(3)
        assert linear.weight.abs().max() <= bound
        assert linear.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)


def test_a_pass_makes_one_power_iteration_and_they_lead_to_norm_one() -> None:
    _, discriminator = build_networks(arch(width=4), seed=1)
    images = torch.randn(2, 3, 32, 32)
    layer = discriminator.features[4]
    weight, power = as_matrix(layer.parametrizations.weight.original.detach()), layer.parametrizations.weight[0]
    v = nn.functional.normalize(weight.T @ power._u, dim=0)
    u = nn.functional.normalize(weight @ v, dim=0)
    with torch.no_grad():
        discriminator(images)
        torch.testing.assert_close(power._u, u)
        torch.testing.assert_close(power._v, v)
        for _ in range(200):
            discriminator(images)
    for convolution in kinds(discriminator, nn.Conv2d):
        assert torch.linalg.matrix_norm(convolution.weight.flatten(1), 2).item() == pytest.approx(1, rel=1e-3)


# --- dcgan ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "width", "pac", "generator_count", "discriminator_count"),
    [
        (64, 64, 1, 3_806_080, 2_765_568),
        (128, 64, 1, 13_245_312, 11_164_416),
        (256, 32, 2, 13_276_608, 11_197_312),
    ],
)
def test_dcgan_counts_of_the_paper(
    size: int, width: int, pac: int, generator_count: int, discriminator_count: int
) -> None:
    generator, discriminator = build_networks(dcgan(size, width=width, pac=pac), seed=1)
    assert count_parameters(generator) == generator_count
    assert count_parameters(discriminator) == discriminator_count


@pytest.mark.parametrize("size", [64, 128, 256])
@pytest.mark.parametrize("pac", [1, 2])
def test_dcgan_shapes(size: int, pac: int) -> None:
    generator, discriminator = build_networks(dcgan(size, width=2, pac=pac), seed=1)
    images = generator(torch.randn(4, 128))
    assert images.shape == (4, 3, size, size)
    assert images.abs().max() <= 1
    assert discriminator.pac == pac
    assert discriminator(images.reshape(4 // pac, 3 * pac, size, size)).shape == (4 // pac, 1)


def test_dcgan_layers() -> None:
    generator, discriminator = build_networks(dcgan(64, width=2), seed=1)
    block = ["ConvTranspose2d", "BatchNorm2d", "ReLU"]
    assert [type(layer).__name__ for layer in generator.layers] == block * 4 + ["ConvTranspose2d", "Tanh"]
    first, block = ["Conv2d", "LeakyReLU"], ["Conv2d", "BatchNorm2d", "LeakyReLU"]
    assert [type(layer).__name__ for layer in discriminator.layers] == first + block * 3 + ["Conv2d"]
    assert {layer.negative_slope for layer in kinds(discriminator, nn.LeakyReLU)} == {0.2}
    for layer in [*kinds(generator, nn.ConvTranspose2d), *kinds(discriminator, nn.Conv2d)]:
        assert layer.bias is None
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.3)
    channels = [layer.out_channels for layer in kinds(generator, nn.ConvTranspose2d)]
    assert channels == [16, 8, 4, 2, 3]
    assert [layer.out_channels for layer in kinds(discriminator, nn.Conv2d)] == [2, 4, 8, 16, 1]


def test_dcgan_under_spectral_norm_has_it_everywhere_and_no_batch_norm_in_the_discriminator() -> None:
    """The paper's SpectralSGAN: arch.spectral_norm=true and nothing else."""
    generator, discriminator = build_networks(dcgan(64, width=2, spectral_norm=True), seed=1)
    assert all(map(has_spectral_norm, kinds(discriminator, nn.Conv2d)))
    assert not kinds(discriminator, nn.BatchNorm2d)
    assert len(kinds(generator, nn.BatchNorm2d)) == 4


def test_dcgan_options() -> None:
    for network in build_networks(dcgan(64, width=2, batch_norm="none", activation="tanh"), seed=1):
        assert not kinds(network, (nn.BatchNorm2d, nn.ReLU, nn.LeakyReLU))
    generator, discriminator = build_networks(dcgan(64, width=2, batch_norm="generator"), seed=1)
    assert kinds(generator, nn.BatchNorm2d)
    assert not kinds(discriminator, nn.BatchNorm2d)


def test_cnn32_judges_stacks_too() -> None:
    _, discriminator = build_networks(arch(width=2, pac=3), seed=1)
    assert discriminator(torch.randn(2, 9, 32, 32)).shape == (2, 1)


# --- both -------------------------------------------------------------------------------------------------------------


def test_the_seed_decides_and_nothing_else() -> None:
    torch.manual_seed(5)
    first = build_networks(arch(width=2), seed=1)
    state = torch.random.get_rng_state()
    torch.randn(3)
    second = build_networks(arch(width=2), seed=1)
    other = build_networks(arch(width=2), seed=2)
    for a, b, c in zip(first, second, other, strict=True):
        for key, tensor in a.state_dict().items():
            assert torch.equal(tensor, b.state_dict()[key])
        assert any(not torch.equal(tensor, c.state_dict()[key]) for key, tensor in a.state_dict().items())
    torch.manual_seed(5)
    assert torch.equal(state, torch.random.get_rng_state())  # building drew nothing from the global stream


# --- spectral norm ----------------------------------------------------------------------------------------------------


def paired_convolutions(memory_format: torch.memory_format) -> tuple[nn.Conv2d, nn.Conv2d]:
    """The same convolution under PyTorch's older spectral norm and under ours, in float64."""
    torch.manual_seed(0)
    theirs, ours = (nn.Conv2d(5, 7, (4, 3)).double().to(memory_format=memory_format) for _ in range(2))
    ours.load_state_dict(theirs.state_dict())
    torch.nn.utils.spectral_norm(theirs)
    add_spectral_norm(ours)
    ours.double()
    ours.parametrizations.weight[0]._u.copy_(theirs.weight_u)  # v is computed from it
    return theirs, ours


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_spectral_norm_is_pytorchs(memory_format: torch.memory_format) -> None:
    """Values, gradients and the vectors, over some steps in which the weight changes."""
    theirs, ours = paired_convolutions(memory_format)
    images = torch.randn(2, 5, 8, 8).double()
    for _ in range(4):
        for convolution in (theirs, ours):
            convolution.zero_grad()
            one, two = convolution(images), convolution(images * 2 + 1)  # two passes before the backward pass
            (one.square().mean() + two.sin().mean()).backward()
        weights = [theirs.weight_orig, ours.parametrizations.weight.original]
        torch.testing.assert_close(weights[1].grad, weights[0].grad)
        assert weights[1].grad.is_contiguous(memory_format=memory_format) or memory_format is torch.contiguous_format
        with torch.no_grad():
            for weight in weights:
                weight -= 3 * weight.grad
    mine = ours.parametrizations.weight[0]
    torch.testing.assert_close(mine._u, theirs.weight_u)
    columns = theirs.weight_v.view(5, 4, 3).permute(1, 2, 0).flatten()  # ours has them in another order
    torch.testing.assert_close(mine._v, columns)
    for convolution in (theirs, ours):
        convolution.eval()
    torch.testing.assert_close(ours(images), theirs(images))


def test_spectral_norm_under_a_gradient_penalty_is_pytorchs() -> None:
    """Differentiated with respect to the images, and that with respect to the weight."""
    theirs, ours = paired_convolutions(torch.channels_last)
    for convolution in (theirs, ours):
        images = torch.randn(2, 5, 8, 8, generator=torch.Generator().manual_seed(1)).double().requires_grad_()
        (found,) = torch.autograd.grad(convolution(images).tanh().sum(), images, create_graph=True)
        (found.flatten(1).norm(dim=1) - 1).square().mean().backward()
    torch.testing.assert_close(ours.parametrizations.weight.original.grad, theirs.weight_orig.grad)


def test_spectral_norm_of_a_linear_layer_is_pytorchs() -> None:
    torch.manual_seed(0)
    theirs, ours = nn.Linear(6, 4).double(), nn.Linear(6, 4).double()
    ours.load_state_dict(theirs.state_dict())
    torch.nn.utils.spectral_norm(theirs)
    add_spectral_norm(ours)
    assert not has_spectral_norm(ours)  # unless asked for
    add_spectral_norm(ours, linear=True)
    ours.double()
    ours.parametrizations.weight[0]._u.copy_(theirs.weight_u)
    features = torch.randn(3, 6).double()
    for layer in (theirs, ours):
        (layer(features).square().mean() + layer(2 * features).sin().mean()).backward()
    torch.testing.assert_close(ours.parametrizations.weight.original.grad, theirs.weight_orig.grad)
    torch.testing.assert_close(ours.parametrizations.weight[0]._u, theirs.weight_u)
    torch.testing.assert_close(ours.parametrizations.weight[0]._v, theirs.weight_v)


def test_the_estimate_comes_to_the_largest_singular_value_and_rests_in_eval_mode() -> None:
    convolution = nn.Conv2d(6, 8, 3)
    add_spectral_norm(convolution)
    for _ in range(100):
        convolution(torch.zeros(1, 6, 4, 4))
    assert torch.linalg.matrix_norm(convolution.weight.flatten(1), 2).item() == pytest.approx(1, abs=1e-3)
    convolution.eval()
    before = convolution.parametrizations.weight[0]._u.clone()
    convolution(torch.zeros(1, 6, 4, 4))
    assert torch.equal(convolution.parametrizations.weight[0]._u, before)
