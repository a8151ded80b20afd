"""The Dirac-GAN of Mescheder et al. 2018 (arXiv 1801.04406): the data are one point, 0; the generator is one number θ,
the discriminator C(x) = ψx. The equilibrium is (0, 0). Gradient descent goes round it, unless a penalty draws it in."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rgan_bench.gan.losses import get_loss
from rgan_bench.gan.steps import discriminator_step, generator_step

LR, STEPS = 0.1, 400


class Point(nn.Module):
    """θ for every z [B, 1], as images [B, 1, 1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(1.0).double())

    def forward(self, z: Tensor) -> Tensor:
        return self.theta.expand(len(z), 1, 1, 1)


class Slope(nn.Module):
    """ψ · x."""

    pac = 1

    def __init__(self) -> None:
        super().__init__()
        self.psi = nn.Parameter(torch.tensor(1.0).double())

    def forward(self, images: Tensor) -> Tensor:
        return self.psi * images.flatten(1)


def path(loss: str, penalty: str, weight: float = 0.5, form: str = "non_saturating") -> np.ndarray:
    """(θ, ψ) after each of STEPS alternating steps of gradient descent, [STEPS, 2]."""
    generator, discriminator = Point(), Slope()
    state = SimpleNamespace(
        generator=generator,
        discriminator=discriminator,
        generator_optimizer=torch.optim.SGD(generator.parameters(), LR),
        discriminator_optimizer=torch.optim.SGD(discriminator.parameters(), LR),
        memory={},
    )
    chosen = get_loss(loss, penalty=penalty, penalty_weight=weight, generator=form)
    real, z = torch.zeros(2, 1, 1, 1).double(), torch.zeros(2, 1).double()
    u = torch.tensor([0.3, 0.8]).double().view(2, 1, 1, 1)
    found = []
    for _ in range(STEPS):
        discriminator_step(state, chosen, real, z, u)
        generator_step(state, chosen, real if chosen.needs_real_for_generator else None, z)
        found.append((generator.theta.item(), discriminator.psi.item()))
    return np.array(found)


LOSSES = ["sgan", "rsgan", "rasgan", "wgangp"]
PENALTIES = ["r1", "r2", "r1r2", "zero_gp"]


@pytest.mark.parametrize("loss", LOSSES)
def test_without_a_penalty_it_goes_round_the_equilibrium_and_does_not_approach_it(loss: str) -> None:
    way = path(loss, "none", form="saturating")  # the zero-sum game
    distance = np.linalg.norm(way, axis=1)
    assert distance[: STEPS // 2].min() > 1
    assert distance.min() > 0.95 * distance[: STEPS // 2].min()
    assert distance.max() < 2
    turns = np.unwrap(np.arctan2(way[:, 1], way[:, 0])) / (2 * np.pi)
    assert abs(turns[-1] - turns[0]) > 2


@pytest.mark.parametrize("loss", LOSSES)
def test_with_gradients_drawn_to_zero_it_arrives(loss: str) -> None:
    without = np.linalg.norm(path(loss, "none"), axis=1)  # the non-saturating game crawls inwards, at best
    assert without[-1] > 0.3
    for penalty in PENALTIES:
        distance = np.linalg.norm(path(loss, penalty), axis=1)
        assert distance[-1] < 2e-3, penalty
        assert distance[-STEPS // 4 :].max() < 0.05, penalty


def test_with_gradients_drawn_to_one_it_does_not() -> None:
    """WGAN-GP: as is shown there, too."""
    distance = np.linalg.norm(path("wgangp", "gp"), axis=1)
    assert distance[-STEPS // 2 :].min() > 0.3
