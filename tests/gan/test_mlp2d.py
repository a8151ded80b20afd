"""The perceptrons for points: their layers, and that they train and resume as the networks for images do."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from rgan_bench.config.schema import Config
from rgan_bench.gan.networks import build_networks, count_parameters
from rgan_bench.scoring.sampling import as_they_are, sample
from rgan_bench.training.state import TrainState
from tests.gan.test_networks import arch, has_spectral_norm, kinds
from tests.gan.test_resnets import CPU, tensors_of, trained

Tiny = Callable[..., Config]
MLP = {"name": "mlp2d", "image_size": 1, "latent_dim": 3, "width": 5, "spectral_norm": False, "batch_norm": "none"}
TOY = ("data=ring8", "data.num_images=200", "arch.width=4", "train.batch_size=8", "fid.num_samples=50", "device=cpu")


@pytest.mark.parametrize("pac", [1, 2])
def test_shapes_layers_and_gradients(pac: int) -> None:
    generator, discriminator = build_networks(arch(**MLP, pac=pac), seed=1)
    points = generator(torch.randn(6, 3))
    assert points.shape == (6, 2, 1, 1)
    logits = discriminator(points.reshape(6 // pac, 2 * pac, 1, 1))
    assert (logits.shape, discriminator.pac, generator.latent_dim) == ((6 // pac, 1), pac, 3)
    logits.square().sum().backward()
    for parameter in [*generator.parameters(), *discriminator.parameters()]:
        assert parameter.grad is not None
    widths = [[(one.in_features, one.out_features) for one in kinds(n, nn.Linear)] for n in (generator, discriminator)]
    assert widths == [[(3, 5), (5, 5), (5, 5), (5, 2)], [(2 * pac, 5), (5, 5), (5, 5), (5, 1)]]
    assert [len(kinds(n, kind)) for n, kind in ((generator, nn.ReLU), (discriminator, nn.LeakyReLU))] == [3, 3]
    assert {one.negative_slope for one in kinds(discriminator, nn.LeakyReLU)} == {0.2}


def test_the_output_is_linear_and_knows_no_bounds() -> None:
    generator, _ = build_networks(arch(**MLP), seed=1)
    assert generator(1e4 * torch.randn(64, 3)).abs().max() > 100


def test_its_choices() -> None:
    generator, discriminator = build_networks(arch(**MLP | {"spectral_norm": True, "batch_norm": "generator"}), seed=1)
    assert len(kinds(generator, nn.BatchNorm1d)) == 3
    assert all(map(has_spectral_norm, kinds(discriminator, nn.Linear)))
    assert not any(map(has_spectral_norm, kinds(generator, nn.Linear)))
    for network in build_networks(arch(**MLP, activation="tanh"), seed=1):
        assert (len(kinds(network, nn.Tanh)), len(kinds(network, (nn.ReLU, nn.LeakyReLU)))) == (3, 0)
    assert count_parameters(build_networks(arch(**MLP | {"width": 128, "latent_dim": 2}), 1)[0]) == 33_666


@pytest.mark.parametrize(
    "overrides",
    [("loss=rsgan",), ("loss=wgangp", "arch.pac=2"), ("loss=rsgan_r1r2", "arch.batch_norm=generator", "optim.n_d=2"),
     ("loss=hinge", "arch.spectral_norm=true")],
    ids=" ".join,
)  # fmt: skip
def test_trains_and_resumes_bit_for_bit(overrides: tuple[str, ...], compose_config: Tiny) -> None:
    config = compose_config(*TOY, *overrides)
    whole = trained(config, 5)
    parts = trained(config, 5, saved=trained(config, 2))
    first, second = tensors_of(whole), tensors_of(parts)
    assert len(first) == len(second) > 30
    for one, two in zip(first, second, strict=True):
        assert torch.equal(one, two)
    plain = trained(config, 5, mode="none")
    for network in ("generator", "discriminator"):
        for key, value in plain[network].items():
            torch.testing.assert_close(value, whole[network][key], rtol=1e-3, atol=1e-4)


def test_samples_under_either_kind_of_statistics_leave_the_generator_alone(compose_config: Tiny) -> None:
    generator = TrainState.new(compose_config(*TOY, "arch.batch_norm=generator"), CPU).generator
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    drawn = {}
    for mode in ("batch", "running"):
        settings = {"seed": 1, "purpose": "x", "batch_norm": mode, "batch_size": 4, "stored": as_they_are}
        batches = list(sample(generator, 10, **settings))
        assert [tuple(batch.shape) for batch in batches] == [(4, 2, 1, 1), (4, 2, 1, 1), (2, 2, 1, 1)]
        drawn[mode] = torch.cat(batches)
    assert not torch.equal(drawn["batch"], drawn["running"])
    assert all(torch.equal(before[name], value) for name, value in generator.state_dict().items())
