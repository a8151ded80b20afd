import numpy as np
import pytest
import torch
from torch import nn

from rgan_bench import register
from rgan_bench.gan.penalties import get_penalty


@pytest.fixture
def critic() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 4, 1)).double()


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)

    def images() -> torch.Tensor:
        return torch.randn(3, 3, 4, 4, generator=generator, dtype=torch.float64)

    return {"real": images(), "fake": images(), "u": torch.tensor([0.0, 0.3, 1.0]).double().view(3, 1, 1, 1)}


def gradient_by_differences(critic: nn.Module, images: torch.Tensor) -> np.ndarray:
    """Of the logits with respect to each pixel of each sample, [B, pixels], without autograd."""
    step, found = 1e-5, np.zeros((len(images), images[0].numel()))
    with torch.no_grad():
        for sample, image in enumerate(images):
            for index in range(image.numel()):
                bump = torch.zeros(image.numel(), dtype=image.dtype)
                bump[index] = step
                bump = bump.view_as(image)
                slope = (critic((image + bump)[None]) - critic((image - bump)[None])).item() / (2 * step)
                found[sample, index] = slope
    return found


# Name → (points, weight, formula of the gradients at a point), written out again from the papers.
FORMULAS = {
    "gp": (("mixed",), 10, lambda g: ((np.sqrt((g**2).sum(1)) - 1) ** 2).mean()),
    "lp": (("mixed",), 10, lambda g: (np.maximum(np.sqrt((g**2).sum(1)) - 1, 0) ** 2).mean()),
    "zero_gp": (("mixed",), 10, lambda g: (g**2).sum(1).mean()),
    "maxgp": (("mixed",), 1, lambda g: (g**2).sum(1).max()),
    "magan": (("mixed",), 20, lambda g: np.maximum(np.abs(g).max(1) - 1, 0).mean()),
    "r1": (("real",), 10, lambda g: (g**2).sum(1).mean() / 2),
    "r2": (("fake",), 10, lambda g: (g**2).sum(1).mean() / 2),
    "r1r2": (("real", "fake"), 10, lambda g: (g**2).sum(1).mean() / 2),
}


def expected(name: str, critic: nn.Module, real: torch.Tensor, fake: torch.Tensor, u: torch.Tensor) -> float:
    points, weight, formula = FORMULAS[name]
    images = {"real": real, "fake": fake, "mixed": u * real + (1 - u) * fake}
    return weight * sum(formula(gradient_by_differences(critic, images[point])) for point in points)


def steep(critic: nn.Module, name: str) -> nn.Module:
    """Penalties from one side are zero, and prove nothing, unless some gradients are larger than one."""
    with torch.no_grad():
        critic[-1].weight.mul_(30 if name == "magan" else 4)
    return critic


def test_every_penalty_is_tested() -> None:
    assert {*FORMULAS, "none"} == set(register.names("penalty"))


@pytest.mark.parametrize("name", FORMULAS)
def test_value_by_finite_differences(name: str, critic: nn.Module, batch: dict[str, torch.Tensor]) -> None:
    wanted = expected(name, steep(critic, name), **batch)
    assert wanted > 1e-3
    assert get_penalty(name)(critic, **batch).item() == pytest.approx(wanted, rel=1e-6)
    assert get_penalty(name, 0.5)(critic, **batch).item() == pytest.approx(0.5 * wanted / FORMULAS[name][1], rel=1e-6)


@pytest.mark.parametrize("name", FORMULAS)
def test_gradient_by_finite_differences(name: str, critic: nn.Module, batch: dict[str, torch.Tensor]) -> None:
    """The double backward: how the penalty changes with a weight."""
    steep(critic, name)
    weight, penalty = critic[0].weight, get_penalty(name)
    (found,) = torch.autograd.grad(penalty(critic, **batch), weight)
    assert found.abs().max() > 1e-4
    step = 1e-5
    for index in [(0, 0, 0, 0), (3, 2, 1, 2), (1, 1, 2, 0)]:
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                weight[index] += sign * step
            ends.append(penalty(critic, **batch).item())
            with torch.no_grad():
                weight[index] -= sign * step
        assert found[index].item() == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("name", ["r1", "r2", "r1r2"])
def test_logits_that_are_there_are_used(name: str, critic: nn.Module, batch: dict[str, torch.Tensor]) -> None:
    penalty = get_penalty(name)
    alone = penalty(critic, **batch)
    real, fake = penalty.watch(batch["real"], batch["fake"])
    logits = {"real": critic(real), "fake": critic(fake)}
    passes: list[object] = []
    critic.register_forward_hook(lambda *arguments: passes.append(arguments))
    torch.testing.assert_close(penalty(critic, real, fake, batch["u"], logits), alone)
    assert passes == []


def test_u_mixes_from_fake_to_real(critic: nn.Module, batch: dict[str, torch.Tensor]) -> None:
    ones, zeros = torch.ones_like(batch["u"]), torch.zeros_like(batch["u"])
    penalty = get_penalty("gp")
    at_real = penalty(critic, batch["real"], batch["fake"], ones)
    torch.testing.assert_close(at_real, penalty(critic, batch["real"], batch["real"], zeros))


@pytest.mark.parametrize("name", FORMULAS)
def test_images_get_no_gradient(name: str, critic: nn.Module, batch: dict[str, torch.Tensor]) -> None:
    batch["fake"].requires_grad_(True)
    get_penalty(name)(critic, **batch).backward()
    assert batch["fake"].grad is None


def test_a_flat_critic_has_finite_gradients(batch: dict[str, torch.Tensor]) -> None:
    """Where the gradient is zero, a norm has no derivative; its square has."""
    flat = nn.Sequential(nn.Flatten(), nn.Linear(48, 1)).double()
    nn.init.zeros_(flat[1].weight)
    for name in FORMULAS:
        flat.zero_grad()
        get_penalty(name)(flat, **batch).backward()
        assert torch.isfinite(flat[1].weight.grad).all(), name


def test_none_is_zero(batch: dict[str, torch.Tensor]) -> None:
    assert get_penalty("none", 10.0)(None, *batch.values()) == 0
    assert get_penalty("none").watch(batch["real"], batch["fake"])[0] is batch["real"]


def test_unknown_penalty() -> None:
    with pytest.raises(ValueError, match="penalty='r3'"):
        get_penalty("r3", 1.0)
