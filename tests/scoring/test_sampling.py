from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from rgan_bench.config.schema import Config
from rgan_bench.gan.networks import build_networks
from rgan_bench.run.experiment import run_experiment
from rgan_bench.scoring import sampling
from rgan_bench.scoring.sampling import NotFinite, borrowed, sample, to_uint8
from tests.gan.test_networks import arch
from tests.run.test_reliability import cut_at, interrupt


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


# --- what is not finite -----------------------------------------------------------------------------------------------

SPOILT: dict[str, Callable[[nn.Module], torch.Tensor]] = {
    "a weight": lambda network: network.project.weight,
    "the last bias": lambda network: network.to_rgb[0].bias,
    "a batch norm": lambda network: network.upsample[1].weight,
}


@pytest.mark.parametrize("at_once", [True, False], ids=["as on a CPU", "as on a GPU"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", SPOILT)
def test_a_generator_that_is_not_finite_gives_no_images(
    generator: nn.Module, name: str, value: float, at_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An infinite last bias makes images of pure white: finite ones."""
    if not at_once:
        monkeypatch.setattr(sampling, "READ_AT_ONCE", ())
    with torch.no_grad():
        SPOILT[name](generator).view(-1)[0] = value
    batches = sample(generator, 20, seed=1, purpose="test", batch_norm="batch", batch_size=8)
    taken = []
    with pytest.raises(NotFinite, match="the images that it makes, are not finite"):
        taken.extend(batches)
    assert len(taken) == (0 if at_once else 2)  # of three


def test_running_statistics_that_are_not_finite_count_where_they_are_used(generator: nn.Module) -> None:
    generator.upsample[1].running_var[0] = float("inf")  # makes a constant channel: a finite one
    wanted = drawn(generator)
    assert wanted.float().std() > 0
    with pytest.raises(NotFinite):
        drawn(generator, batch_norm="running")


@pytest.mark.parametrize("at_once", [True, False], ids=["as on a CPU", "as on a GPU"])
def test_one_image_that_is_not_finite_is_enough(at_once: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With finite weights, in the middle of the batches; those of the last pass that are cut off do not count."""

    class Overflowing(nn.Module):
        latent_dim, passes = 2, 0

        def __init__(self, spoilt: tuple[int, int]) -> None:
            super().__init__()
            self.weight, self.spoilt = nn.Parameter(torch.ones(())), spoilt

        def forward(self, z: torch.Tensor) -> torch.Tensor:
            images = z[:, :1, None, None].tanh().expand(-1, 3, 2, 2) * self.weight
            images = images.clone()
            if self.passes == self.spoilt[0]:
                images[self.spoilt[1], 0, 0, 0] = float("nan")
            self.passes += 1
            return images

    if not at_once:
        monkeypatch.setattr(sampling, "READ_AT_ONCE", ())
    with pytest.raises(NotFinite):
        drawn(Overflowing((1, 7)))
    with pytest.raises(NotFinite):
        drawn(Overflowing((2, 3)))
    assert len(drawn(Overflowing((2, 4)))) == 20


@pytest.mark.gpu
def test_on_a_gpu_too(generator: nn.Module) -> None:
    generator.cuda()
    assert drawn(generator).shape == (20, 3, 32, 32)
    with torch.no_grad():
        generator.project.weight[0, 0] = float("nan")
    with pytest.raises(NotFinite):
        drawn(generator)


def test_a_diverged_run_that_goes_on_records_no_score(
    tiny_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before its score at iteration 4, which its next session then makes: without having seen a loss."""
    config = tiny_config(
        "loss=lsgan", "arch.spectral_norm=false", "optim.lr=1e20", "train.on_divergence=continue", "train.iterations=8"
    )
    with monkeypatch.context() as patch:
        cut_at(4, interrupt, patch)
        assert run_experiment(config)["status"] == "interrupted"
    result = run_experiment(config)
    assert (result["status"], result["iteration"]) == ("diverged", 8)
    assert [iteration for iteration, _ in result["scores"]["fd_pixels"]["history"]] == [0]
    reasons = {failed["iteration"]: failed["reason"] for failed in result["failed_scores"]}
    assert reasons[4] == "not finite: weights/generator, weights/discriminator"
    assert sorted(reasons) == [2, 4, 6, 8]
    (folder,) = Path("outputs").iterdir()
    assert [path.name for path in sorted((folder / "samples").iterdir())] == ["iter_000000.png"]  # no grid of noise
