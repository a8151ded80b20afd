import pytest
import torch
from torch import nn

from rgan_bench.networks import build_networks
from rgan_bench.sampling import borrowed, sample, to_uint8
from tests.test_networks import arch


@pytest.fixture
def generator() -> nn.Module:
    network, _ = build_networks(arch(width=4), seed=1)
    with torch.no_grad():  # running statistics that are not the batch's
        for _ in range(3):
            network(torch.randn(16, 128))
    return network


def drawn(generator: nn.Module, count: int = 20, **changes: object) -> torch.Tensor:
    settings = {"seed": 1, "purpose": "test", "batch_norm": "batch", "batch_size": 8} | changes
    return torch.cat(list(sample(generator, count, **settings)))


def snapshot(module: nn.Module) -> tuple[dict, list[bool]]:
    state = {key: value.clone() for key, value in module.state_dict().items()}
    return state, [child.training for child in module.modules()]


@pytest.mark.parametrize("batch_norm", ["batch", "running"])
@pytest.mark.parametrize("training", [True, False])
def test_the_generator_comes_back_as_it_was(generator: nn.Module, batch_norm: str, training: bool) -> None:
    generator.train(training)
    generator.upsample[1].eval()  # even an odd mixture of modes
    state, modes = snapshot(generator)
    drawn(generator, batch_norm=batch_norm)
    after, modes_after = snapshot(generator)
    assert modes == modes_after
    assert all(torch.equal(state[key], after[key]) for key in state)
    assert all(norm.track_running_stats for norm in generator.modules() if isinstance(norm, nn.BatchNorm2d))


def test_it_comes_back_after_an_error_too(generator: nn.Module) -> None:
    with pytest.raises(RuntimeError), borrowed(generator, "batch"):
        raise RuntimeError
    assert all(norm.track_running_stats for norm in generator.modules() if isinstance(norm, nn.BatchNorm2d))


def test_batch_statistics_are_those_of_the_batch(generator: nn.Module) -> None:
    """The same as a forward pass in train mode, on the latents of the stream."""
    from rgan_bench.rng import stream

    z = torch.randn(8, 128, generator=stream(1, "test", 0))
    with torch.no_grad():
        wanted = to_uint8(generator.train()(z))
    assert torch.equal(drawn(generator, 8), wanted)


def test_running_statistics_are_those_of_eval_mode(generator: nn.Module) -> None:
    from rgan_bench.rng import stream

    z = torch.randn(8, 128, generator=stream(1, "test", 0))
    with torch.no_grad():
        wanted = to_uint8(generator.eval()(z))
    assert torch.equal(drawn(generator, 8, batch_norm="running"), wanted)
    assert not torch.equal(drawn(generator, 8), wanted)


def test_the_last_batch_is_drawn_whole_and_cut(generator: nn.Module) -> None:
    images = drawn(generator, 20)
    assert images.shape == (20, 3, 32, 32)
    assert torch.equal(images, drawn(generator, 24)[:20])


def test_seed_and_purpose_decide(generator: nn.Module) -> None:
    images = drawn(generator)
    torch.manual_seed(9)
    assert torch.equal(images, drawn(generator))
    assert not torch.equal(images, drawn(generator, seed=2))
    assert not torch.equal(images, drawn(generator, purpose="other"))


def test_rounding_to_8_bits() -> None:
    values = torch.tensor([-1.0, 1.0, 0.0, -1 + 2 * 10.4 / 255, -1 + 2 * 10.6 / 255, 1.5, -1.5])
    assert to_uint8(values.view(1, 1, 1, -1)).flatten().tolist() == [0, 255, 128, 10, 11, 255, 0]
