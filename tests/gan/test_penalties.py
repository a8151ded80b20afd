import itertools
import re

import numpy as np
import pytest
import torch
from torch import nn

from rgan_bench import register
from rgan_bench.config.schema import PENALTY_PARTS
from rgan_bench.gan.penalties import NORMS, REDUCTIONS, SHAPES, Penalties, get_penalties, memory_of

Batch = dict[str, torch.Tensor]


@pytest.fixture
def critic() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 4, 1)).double()


@pytest.fixture
def batch() -> Batch:
    generator = torch.Generator().manual_seed(1)

    def images() -> torch.Tensor:
        return torch.randn(3, 3, 4, 4, generator=generator, dtype=torch.float64)

    return {"real": images(), "fake": images(), "u": torch.tensor([0.0, 0.3, 1.0]).double().view(3, 1, 1, 1)}


@pytest.fixture
def noise() -> Batch:
    generator = torch.Generator().manual_seed(2)
    shape = {"size": (3, 3, 4, 4), "generator": generator, "dtype": torch.float64}
    return {"near": torch.rand(**shape), "real": torch.randn(**shape), "fake": torch.randn(**shape)}


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
OF_GRADIENTS = {
    "gp": (("mixed",), 10, lambda g: ((np.sqrt((g**2).sum(1)) - 1) ** 2).mean()),
    "lp": (("mixed",), 10, lambda g: (np.maximum(np.sqrt((g**2).sum(1)) - 1, 0) ** 2).mean()),
    "zero_gp": (("mixed",), 10, lambda g: (g**2).sum(1).mean()),
    "maxgp": (("mixed",), 1, lambda g: (g**2).sum(1).max()),
    "magan": (("mixed",), 20, lambda g: np.maximum(np.abs(g).max(1) - 1, 0).mean()),
    "dragan": (("near",), 10, lambda g: ((np.sqrt((g**2).sum(1)) - 1) ** 2).mean()),
    "r1": (("real",), 10, lambda g: (g**2).sum(1).mean() / 2),
    "r2": (("fake",), 10, lambda g: (g**2).sum(1).mean() / 2),
    "r1r2": (("real", "fake"), 10, lambda g: (g**2).sum(1).mean() / 2),
}
# Of logits: (weight, formula of r, f, and the logits of the shifted reals and fakes), at the first step.
OF_LOGITS = {
    "ar1r2": (1000, lambda r, f, r2, f2: ((r - r2) ** 2).mean() + ((f - f2) ** 2).mean()),
    "lecam": (
        0.3,
        lambda r, f, r2, f2: (np.maximum(r - f.mean(), 0) ** 2).mean() + (np.maximum(r.mean() - f, 0) ** 2).mean(),
    ),
}
FORMULAS = {**OF_GRADIENTS, **OF_LOGITS}


def points_of(batch: Batch, noise: Batch) -> Batch:
    real, fake, u = batch["real"], batch["fake"], batch["u"]
    spread = real.numpy().std(ddof=1)
    return {
        "real": real,
        "fake": fake,
        "mixed": u * real + (1 - u) * fake,
        "near": real + 0.5 * spread * noise["near"],
    }


def expected(name: str, critic: nn.Module, batch: Batch, noise: Batch) -> float:
    if name in OF_GRADIENTS:
        points, weight, formula = OF_GRADIENTS[name]
        images = points_of(batch, noise)
        return weight * sum(formula(gradient_by_differences(critic, images[point])) for point in points)
    weight, formula = OF_LOGITS[name]
    places = [batch[side] for side in ("real", "fake")]
    places += [batch[side] + 0.1 * noise[side] for side in ("real", "fake")]
    with torch.no_grad():
        return weight * formula(*(critic(place).numpy() for place in places))


def value_of(penalties: Penalties, critic: nn.Module, batch: Batch, noise: Batch) -> torch.Tensor:
    memory = {name: kept.double() for name, kept in memory_of(penalties, torch.device("cpu")).items()}
    return penalties(critic, **batch, noise=noise, memory=memory)


def steep(critic: nn.Module, name: str) -> nn.Module:
    """Penalties from one side are zero, and prove nothing, unless some gradients are larger than one."""
    with torch.no_grad():
        critic[-1].weight.mul_(30 if name == "magan" else 4)
    return critic


def test_every_penalty_is_tested() -> None:
    assert {*FORMULAS, "none"} == set(register.names("penalty"))


@pytest.mark.parametrize("name", FORMULAS)
def test_value_by_finite_differences(name: str, critic: nn.Module, batch: Batch, noise: Batch) -> None:
    wanted = expected(name, steep(critic, name), batch, noise)
    assert wanted > 1e-3
    assert value_of(get_penalties(name), critic, batch, noise).item() == pytest.approx(wanted, rel=1e-6)
    half = wanted / (2 * FORMULAS[name][-2])
    assert value_of(get_penalties(name, 0.5), critic, batch, noise).item() == pytest.approx(half, rel=1e-6)


@pytest.mark.parametrize("name", FORMULAS)
def test_gradient_by_finite_differences(name: str, critic: nn.Module, batch: Batch, noise: Batch) -> None:
    """The double backward: how the penalty changes with a weight."""
    weight, penalties = steep(critic, name)[0].weight, get_penalties(name)
    means = torch.tensor([*(critic(batch[side]).mean().item() for side in ("real", "fake")), 1.0]).double()

    def value() -> torch.Tensor:
        # lecam's averages are numbers to the gradient: here those of many steps, which one more hardly moves.
        return penalties(critic, **batch, noise=noise, memory={"lecam": means.clone()})

    (found,) = torch.autograd.grad(value(), weight)
    assert found.abs().max() > 1e-4
    step = 1e-5
    for index in [(0, 0, 0, 0), (3, 2, 1, 2), (1, 1, 2, 0)]:
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                weight[index] += sign * step
            ends.append(value().item())
            with torch.no_grad():
                weight[index] -= sign * step
        # Its averages follow the weight by a hundredth, which is no part of the gradient.
        rel = 0.05 if name == "lecam" else 1e-4
        assert found[index].item() == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=rel, abs=1e-7)


@pytest.mark.parametrize(("norm", "shape", "reduce"), list(itertools.product(NORMS, SHAPES, REDUCTIONS)))
def test_any_parts_go_together(
    norm: str, shape: str, reduce: str, critic: nn.Module, batch: Batch, noise: Batch
) -> None:
    norms = {
        "l1": lambda g: np.abs(g).sum(1),
        "l2": lambda g: np.sqrt((g**2).sum(1)),
        "linf": lambda g: np.abs(g).max(1),
    }
    shapes = {
        "centered": lambda n: (n - 1) ** 2,
        "one_sided": lambda n: np.maximum(n - 1, 0) ** 2,
        "hinge": lambda n: np.maximum(n - 1, 0),
        "square": lambda n: n**2,
        "half_square": lambda n: n**2 / 2,
    }
    steep(critic, "gp" if norm != "linf" else "magan")
    points = ("fake", "near")
    gradients = [gradient_by_differences(critic, points_of(batch, noise)[point]) for point in points]
    wanted = 3 * sum({"mean": np.mean, "max": np.max}[reduce](shapes[shape](norms[norm](g))) for g in gradients)
    penalties = get_penalties("lp", 3.0, points=points, norm=norm, shape=shape, reduce=reduce)
    assert value_of(penalties, critic, batch, noise).item() == pytest.approx(wanted, rel=1e-6)


def test_the_parts_that_can_be_asked_for_are_those_that_there_are() -> None:
    kinds = {"norm": NORMS, "shape": SHAPES, "reduce": REDUCTIONS}
    assert {part: tuple(kind) for part, kind in kinds.items()} == {part: PENALTY_PARTS[part] for part in kinds}
    for name in register.names("penalty"):
        told = register.attributes("penalty", name)
        assert set(told["points"] or ()) <= set(PENALTY_PARTS["points"])
        assert all(told[part] in (None, *PENALTY_PARTS[part]) for part in kinds)


def test_several_add_up(critic: nn.Module, batch: Batch, noise: Batch) -> None:
    names = ["gp", "magan", "r1", "ar1r2", "dragan", "lecam"]
    wanted = sum(value_of(get_penalties(name), critic, batch, noise).item() for name in names)
    assert value_of(get_penalties(names), critic, batch, noise).item() == pytest.approx(wanted, rel=1e-12)
    weighted = get_penalties(["gp", "r1"], [1.0, 2.0])
    alone = [value_of(get_penalties(name, 1.0), critic, batch, noise).item() for name in ("gp", "r1")]
    assert value_of(weighted, critic, batch, noise).item() == pytest.approx(alone[0] + 2 * alone[1], rel=1e-12)


@pytest.mark.parametrize("name", ["r1", "r2", "r1r2", "lecam"])
def test_logits_that_are_there_are_used(name: str, critic: nn.Module, batch: Batch, noise: Batch) -> None:
    penalties = get_penalties(name)
    alone = value_of(penalties, critic, batch, noise)
    real, fake = penalties.watch(batch["real"], batch["fake"])
    logits = {"real": critic(real), "fake": critic(fake)}
    passes: list[object] = []
    critic.register_forward_hook(lambda *arguments: passes.append(arguments))
    given = {"logits": logits, "memory": {"lecam": torch.zeros(3).double()}}
    torch.testing.assert_close(penalties(critic, real, fake, batch["u"], **given), alone)
    assert passes == []


def test_lecam_s_averages_begin_with_the_first_batch_and_move_by_a_hundredth(batch: Batch) -> None:
    memory = {"lecam": torch.zeros(3).double()}

    def step(real: float, fake: float) -> list[float]:
        logits = {"real": torch.full((4, 1), real).double(), "fake": torch.full((4, 1), fake).double()}
        get_penalties("lecam")(None, **batch, logits=logits, memory=memory)
        return memory["lecam"].tolist()

    assert step(2.0, -1.0) == [2.0, -1.0, 1.0]
    assert step(3.0, -3.0) == pytest.approx([2.01, -1.02, 1.0])
    assert step(3.0, -3.0) == pytest.approx([2.0199, -1.0398, 1.0])


def test_u_mixes_from_fake_to_real(critic: nn.Module, batch: Batch) -> None:
    ones, zeros = torch.ones_like(batch["u"]), torch.zeros_like(batch["u"])
    penalty = get_penalties("gp")
    at_real = penalty(critic, batch["real"], batch["fake"], ones)
    torch.testing.assert_close(at_real, penalty(critic, batch["real"], batch["real"], zeros))


@pytest.mark.parametrize("name", FORMULAS)
def test_images_get_no_gradient(name: str, critic: nn.Module, batch: Batch, noise: Batch) -> None:
    batch["fake"].requires_grad_(True)
    value_of(get_penalties(name), critic, batch, noise).backward()
    assert batch["fake"].grad is None


def test_a_flat_critic_has_finite_gradients(batch: Batch, noise: Batch) -> None:
    """Where the gradient is zero, a norm has no derivative; its square has."""
    flat = nn.Sequential(nn.Flatten(), nn.Linear(48, 1)).double()
    nn.init.zeros_(flat[1].weight)
    for name in FORMULAS:
        flat.zero_grad()
        value_of(get_penalties(name), flat, batch, noise).backward()
        assert torch.isfinite(flat[1].weight.grad).all(), name


def test_none_is_zero(batch: Batch) -> None:
    none = get_penalties("none", 10.0)
    assert none == Penalties()
    assert none(None, *batch.values()) == 0
    assert none.watch(batch["real"], batch["fake"])[0] is batch["real"]


@pytest.mark.parametrize(
    ("names", "parts", "message"),
    [
        ("r3", {}, "penalty='r3'"),
        ("lecam", {"norm": "l1"}, "loss.penalty=lecam has no such part"),
        ("none", {"points": ("real",)}, "loss.penalty=none has no such part"),
    ],
)
def test_what_there_is_not_is_refused(names: str, parts: dict, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        get_penalties(names, **parts)


@pytest.mark.parametrize(("name", "what"), [("dragan", "noise: near"), ("ar1r2", "noise: real"), ("lecam", "memory")])
def test_what_is_needed_and_missing_is_named(name: str, what: str, critic: nn.Module, batch: Batch) -> None:
    with pytest.raises(ValueError, match=what):
        get_penalties(name)(critic, **batch)
