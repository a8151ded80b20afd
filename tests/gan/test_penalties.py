import pytest
import torch
from torch import nn

from rgan_bench.gan.penalties import get_penalty, gradient_penalty, no_penalty


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


def penalty_by_differences(critic: nn.Module, real: torch.Tensor, fake: torch.Tensor, u: torch.Tensor) -> float:
    """Pixel by pixel, without autograd."""
    step, total = 1e-5, 0.0
    for r, f, weight in zip(real, fake, u, strict=True):
        x = weight * r + (1 - weight) * f
        squares = 0.0
        for index in range(x.numel()):
            bump = torch.zeros(x.numel(), dtype=x.dtype)
            bump[index] = step
            bump = bump.view_as(x)
            with torch.no_grad():
                slope = (critic((x + bump)[None]) - critic((x - bump)[None])).item() / (2 * step)
            squares += slope**2
        total += (squares**0.5 - 1) ** 2
    return total / len(real)


def test_value_by_finite_differences(critic: nn.Module, batch: dict[str, torch.Tensor]) -> None:
    found = gradient_penalty(critic, **batch)
    assert found.item() == pytest.approx(penalty_by_differences(critic, **batch), rel=1e-7)


def test_gradient_by_finite_differences(critic: nn.Module, batch: dict[str, torch.Tensor]) -> None:
    """The double backward: how the penalty changes with a weight."""
    weight = critic[0].weight
    (found,) = torch.autograd.grad(gradient_penalty(critic, **batch), weight)
    step = 1e-5
    for index in [(0, 0, 0, 0), (3, 2, 1, 2), (1, 1, 2, 0)]:
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                weight[index] += sign * step
            ends.append(gradient_penalty(critic, **batch).item())
            with torch.no_grad():
                weight[index] -= sign * step
        assert found[index].item() == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5, abs=1e-9)


def test_u_mixes_from_fake_to_real(critic: nn.Module, batch: dict[str, torch.Tensor]) -> None:
    ones, zeros = torch.ones_like(batch["u"]), torch.zeros_like(batch["u"])
    at_real = gradient_penalty(critic, batch["real"], batch["fake"], ones)
    torch.testing.assert_close(at_real, gradient_penalty(critic, batch["real"], batch["real"], zeros))


def test_images_get_no_gradient(critic: nn.Module, batch: dict[str, torch.Tensor]) -> None:
    batch["fake"].requires_grad_(True)
    gradient_penalty(critic, **batch).backward()
    assert batch["fake"].grad is None


def test_weight_multiplies(critic: nn.Module, batch: dict[str, torch.Tensor]) -> None:
    weighted = get_penalty("gp", 10.0)(critic, *batch.values())
    torch.testing.assert_close(weighted, 10 * gradient_penalty(critic, **batch))


def test_none_is_zero(critic: nn.Module, batch: dict[str, torch.Tensor]) -> None:
    assert get_penalty("none", 10.0)(None, *batch.values()) == 0
    assert no_penalty(critic, **batch).item() == 0


def test_unknown_penalty() -> None:
    with pytest.raises(ValueError, match="penalty='r3'"):
        get_penalty("r3", 1.0)
