"""Fewer kernels against the plain way, in float64: the same numbers to rounding."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from rgan_bench import register
from rgan_bench.config.schema import Config
from rgan_bench.config.validate import group_options
from rgan_bench.data.dataset import ImageDataset
from rgan_bench.data.load import load_data
from rgan_bench.gan.networks.chain import Scales
from rgan_bench.training.loop import train
from rgan_bench.training.state import TrainState

CPU = torch.device("cpu")
ROUNDING = 1e-12  # of the largest number of a tensor
SPECTRAL = ("arch.spectral_norm=true", "arch.batch_norm=generator")


def iterations(config: Config, state: TrainState) -> Iterator[dict[str, torch.Tensor]]:
    """What there is after each iteration without a change of weights: gradients, buffers, measures."""
    networks = {"generator": state.generator, "discriminator": state.discriminator}
    for network in networks.values():
        network.double().register_forward_pre_hook(lambda module, inputs: tuple(each.double() for each in inputs))
    stepping: Any = state.discriminator_optimizer, state.generator_optimizer
    for optimizer in stepping:
        optimizer.step = lambda: None  # Adam's first steps are signs, and so of rounding where a gradient is none
    for measured in train(state, load_data(config.data, config.limits), config):
        found = dict(measured)
        for name, network in networks.items():
            found |= {f"{name}.{key}.grad": each.grad.clone() for key, each in network.named_parameters()}
            found |= {f"{name}.{key}": each.double() for key, each in network.named_buffers()}
        yield {key: value.clone() for key, value in found.items()}


def assert_the_same(config: Config) -> TrainState:
    """The state that was computed with fewer kernels."""
    config.train.iterations, config.train.batch_size = 2, 4
    other, state = (TrainState.new(config, CPU, fewer_kernels=fewer) for fewer in (False, True))
    for plain, fewer in zip(iterations(config, other), iterations(config, state), strict=True):
        assert plain.keys() == fewer.keys()
        # What is zero but for rounding, as gradients before a batch norm are, is measured by its network's largest.
        for kind in ("generator", "discriminator"):
            largest = max(value.abs().max() for key, value in plain.items() if key.endswith("grad") and kind in key)
            for key in filter(lambda key, kind=kind: key.startswith(kind), plain):
                scale = largest if key.endswith("grad") else plain[key].abs().max()
                assert (plain[key] - fewer[key]).abs().max() <= ROUNDING * scale, key
        for key in ("loss/discriminator", "loss/generator", "loss/penalty", "logits/real", "logits/fake"):
            torch.testing.assert_close(plain[key], fewer[key], rtol=ROUNDING, atol=ROUNDING)
    return state


@pytest.mark.parametrize("loss", group_options("loss"))
def test_every_loss(loss: str, tiny_config: Callable[..., Config]) -> None:
    assert_the_same(tiny_config(f"loss={loss}", *SPECTRAL, "optim.n_d=2"))


@pytest.mark.parametrize("penalty", [*(each for each in register.names("penalty") if each != "none"), "[r1,dragan,gp]"])
def test_every_penalty(penalty: str, tiny_config: Callable[..., Config]) -> None:
    """Some take passes of their own, some the gradient at images that others share a pass with."""
    assert_the_same(tiny_config("loss=rasgan", f"loss.penalty={penalty}", *SPECTRAL))


@pytest.mark.parametrize(
    ("together", "overrides"),
    [
        (True, ("arch=dcgan64", "data.image_size=64", *SPECTRAL, "arch.pac=2", "loss=wgangp")),
        (True, ("loss=sgan", "arch.spectral_norm=false", "arch.batch_norm=none")),  # one pass, no chain
        (True, ("arch=resize32",)),
        (False, ("arch.spectral_norm=false", "arch.batch_norm=both")),
        (False, (*SPECTRAL, "arch.activation=tanh")),  # not homogeneous
        (False, ("arch.spectral_norm=true", "arch.batch_norm=both")),
        (False, ("arch=snresnet32", "loss=rasgan_gp")),
        (False, ("arch=r3gan32", "arch.width=32", "loss=rsgan_r1r2")),  # convolutions of several groups
    ],
)
def test_other_networks(together: bool, overrides: tuple[str, ...], tiny_config: Callable[..., Config]) -> None:
    state = assert_the_same(tiny_config("loss=rasgan", *overrides))
    assert getattr(state.discriminator, "takes_several", False) is together


def test_all_power_iterations_of_a_step_at_once(
    tiny_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real and fake in one pass, and the penalty's own; then the generator's two."""
    seen, plain = [], Scales.forward
    monkeypatch.setattr(
        Scales, "forward", lambda ctx, chain, groups, *rest: seen.append(groups) or plain(ctx, chain, groups, *rest)
    )
    config = tiny_config("loss=rasgan_gp", *SPECTRAL, "train.iterations=1")
    list(iterations(config, TrainState.new(config, CPU, fewer_kernels=True)))
    assert seen == [[2, 1], [1, 1]]


def test_a_step_that_broke_off_leaves_nothing_behind(tiny_config: Callable[..., Config]) -> None:
    discriminator: Any = TrainState.new(tiny_config(*SPECTRAL), CPU, fewer_kernels=True).discriminator
    images = torch.randn(4, 3, 32, 32)
    discriminator.look_ahead([1, 1])
    discriminator(images)
    discriminator.look_ahead([2])
    one, two = discriminator(images, images)
    assert one.shape == two.shape == (4, 1)
    assert not torch.equal(one, two)  # a power iteration lies between them


def test_states_go_from_one_way_to_the_other(tiny_config: Callable[..., Config]) -> None:
    config = tiny_config(*SPECTRAL, "train.iterations=2")
    for first in (True, False):
        state = TrainState.new(config, CPU, fewer_kernels=first)
        list(iterations(config, state))
        other = TrainState.new(config, CPU, fewer_kernels=not first)
        other.discriminator.double()
        other.discriminator.load_state_dict(state.discriminator.state_dict())
        images = torch.rand(2, 3, 32, 32).double()
        torch.testing.assert_close(other.discriminator(images), state.discriminator(images), rtol=1e-12, atol=1e-12)


def test_batches_from_images_whose_channels_come_last() -> None:
    images = torch.randint(0, 256, (6, 3, 4, 4), dtype=torch.uint8)
    one = ImageDataset.from_images("x", "x", images)
    other = ImageDataset("x", "x", images.contiguous(memory_format=torch.channels_last), "x")
    for layout in (torch.channels_last, torch.contiguous_format):
        indices = torch.tensor([5, 0, 2])
        assert torch.equal(one.batch(indices, layout), other.batch(indices, layout))
        assert other.batch(indices, layout).is_contiguous(memory_format=layout)
