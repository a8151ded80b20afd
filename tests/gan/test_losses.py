"""Every loss against formulas written out again, in numpy and float64; gradients against their finite differences."""

import itertools
import re

import numpy as np
import pytest
import torch

from rgan_bench import register
from rgan_bench.config.combinations import own_weights
from rgan_bench.config.schema import ESTIMATORS, GENERATOR_FORMS, PENALTY_PARTS
from rgan_bench.config.validate import group_options
from rgan_bench.errors import UserError
from rgan_bench.gan.losses import Loss, get_loss
from rgan_bench.gan.penalties import get_penalties
from tests.conftest import GOLDEN

COMPARISONS, FUNCTIONS = register.names("comparison"), register.names("function")
ALL = [Loss(*choices) for choices in itertools.product(COMPARISONS, FUNCTIONS, GENERATOR_FORMS)]
RELATIVISTIC = [loss for loss in ALL if loss.comparison != "none"]
GENERATOR = np.random.default_rng(0)
REAL, FAKE = GENERATOR.normal(0.5, 1.5, 6), GENERATOR.normal(-0.4, 1.5, 6)


def name_of(loss: Loss) -> str:
    return f"{loss.comparison}-{loss.function}-{loss.generator_form}"


def f1(function: str, t: np.ndarray) -> np.ndarray:
    return {
        "standard": np.log1p(np.exp(-t)),
        "least_squares": (t - 1) ** 2,
        "hinge": np.maximum(0, 1 - t),
        "wasserstein": -t,
    }[function]


def f2(function: str, t: np.ndarray, plain: bool) -> np.ndarray:
    if function == "least_squares" and plain:
        return t**2
    return {
        "standard": np.log1p(np.exp(t)),
        "least_squares": (t + 1) ** 2,
        "hinge": np.maximum(0, 1 + t),
        "wasserstein": t,
    }[function]


def compared(comparison: str, r: np.ndarray, f: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    middle = (r.mean() + f.mean()) / 2
    return {
        "none": (r, f),
        "pair": (r - f, f - r),
        "average": (r - f.mean(), f - r.mean()),
        "average_v1": (r - f.mean(), f.mean() - r),
        "centered": (r - middle, f - middle),
    }[comparison]


def expected_discriminator(loss: Loss, r: np.ndarray, f: np.ndarray) -> float:
    plain = loss.comparison == "none"
    rt, ft = compared(loss.comparison, r, f)
    return (1 if plain else 0.5) * (f1(loss.function, rt).mean() + f2(loss.function, ft, plain).mean())


def expected_generator(loss: Loss, r: np.ndarray, f: np.ndarray) -> float:
    plain = loss.comparison == "none"
    rt, ft = compared(loss.comparison, r, f)
    if loss.generator_form == "saturating":
        if plain:
            return -f2(loss.function, ft, plain).mean()
        return -0.5 * (f1(loss.function, rt).mean() + f2(loss.function, ft, plain).mean())
    if plain:
        return -f.mean() if loss.function in ("hinge", "wasserstein") else f1(loss.function, ft).mean()
    return 0.5 * (f2(loss.function, rt, plain).mean() + f1(loss.function, ft).mean())


def finite_difference(value, r: np.ndarray, f: np.ndarray, step: float = 1e-6) -> tuple[np.ndarray, np.ndarray]:
    def along(which: int, index: int) -> float:
        ends = []
        for sign in (1, -1):
            moved = [r.copy(), f.copy()]
            moved[which][index] += sign * step
            ends.append(value(*moved))
        return (ends[0] - ends[1]) / (2 * step)

    return tuple(np.array([along(which, i) for i in range(len(r))]) for which in (0, 1))


def tensors() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(REAL, requires_grad=True), torch.tensor(FAKE, requires_grad=True)


@pytest.mark.parametrize("loss", ALL, ids=name_of)
@pytest.mark.parametrize("side", ["discriminator", "generator"])
def test_value_and_gradient(loss: Loss, side: str) -> None:
    formula = expected_discriminator if side == "discriminator" else expected_generator
    real, fake = tensors()
    value = getattr(loss, side)(real, fake)
    assert value.shape == ()
    np.testing.assert_allclose(value.item(), formula(loss, REAL, FAKE), rtol=1e-12)
    gradients = torch.autograd.grad(value, [real, fake], allow_unused=True)
    for gradient, wanted in zip(
        gradients, finite_difference(lambda r, f: formula(loss, r, f), REAL, FAKE), strict=True
    ):
        found = np.zeros_like(wanted) if gradient is None else gradient.numpy()
        np.testing.assert_allclose(found, wanted, atol=1e-8)


NAMED = {
    "sgan": ("none", "standard"),
    "rsgan": ("pair", "standard"),
    "rasgan": ("average", "standard"),
    "lsgan": ("none", "least_squares"),
    "ralsgan": ("average", "least_squares"),
    "hinge": ("none", "hinge"),
    "rahinge": ("average", "hinge"),
    "wgangp": ("none", "wasserstein"),
    "rsgan_gp": ("pair", "standard"),
    "rasgan_gp": ("average", "standard"),
    "rasgan_v1": ("average_v1", "standard"),
    "ralsgan_v1": ("average_v1", "least_squares"),
    "spectral_sgan": ("none", "standard"),
    # arXiv 1901.02474
    "rcsgan": ("centered", "standard"),
    "rclsgan": ("centered", "least_squares"),
    "rchinge": ("centered", "hinge"),
    "rlsgan": ("pair", "least_squares"),
    "rhinge": ("pair", "hinge"),
    "rsgan_mvue": ("pair", "standard"),
    "rlsgan_mvue": ("pair", "least_squares"),
    "rhinge_mvue": ("pair", "hinge"),
    "ralsgan_unbiased": ("average", "least_squares"),
    "rclsgan_unbiased": ("centered", "least_squares"),
    "rsgan_r1r2": ("pair", "standard"),  # arXiv 2501.05441
}


def test_named_losses_are_those_of_their_papers_with_penalties_and_estimators() -> None:
    assert set(group_options("loss")) == set(NAMED)
    for name, choices in NAMED.items():
        penalised = {"wgangp": "gp", "rsgan_gp": "gp", "rasgan_gp": "gp", "rsgan_r1r2": "r1r2"}
        penalty = get_penalties(penalised.get(name, "none"), 10)
        estimator = next((each for each in ("mvue", "unbiased") if name.endswith(each)), "plain")
        assert get_loss(name) == Loss(*choices, "non_saturating", penalty, estimator)
    assert get_loss("sgan", penalty="gp", penalty_weight=3).penalty == get_penalties("gp", 3)


@pytest.mark.parametrize("loss", RELATIVISTIC, ids=name_of)
def test_a_constant_added_to_both_logits_changes_nothing(loss: Loss) -> None:
    real, fake = tensors()
    for side in (loss.discriminator, loss.generator):
        torch.testing.assert_close(side(real + 7.3, fake + 7.3), side(real, fake), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("comparison", ["pair", "average", "average_v1"])
def test_an_ipm_gan_is_the_relativistic_gan_with_the_identity(comparison: str) -> None:
    plain, relativistic = (Loss(c, "wasserstein", "non_saturating") for c in ("none", comparison))
    real, fake = tensors()
    wanted = torch.autograd.grad(plain.discriminator(real, fake), [real, fake])
    found = torch.autograd.grad(relativistic.discriminator(real, fake), [real, fake])
    torch.testing.assert_close(found, wanted)
    (wanted,) = torch.autograd.grad(plain.generator(None, fake), [fake])
    (found,) = torch.autograd.grad(relativistic.generator(real.detach(), fake), [fake])
    if comparison == "average_v1":  # its second term holds no single fake: half of the gradient comes by the mean
        assert torch.allclose(found.sum(), wanted.sum())
    else:
        torch.testing.assert_close(found, wanted)


def test_centered_wasserstein_has_half_the_gradient() -> None:
    """Both sides move by half of the distance, and the scale of relativistic losses halves it once more."""
    real, fake = tensors()
    wanted = torch.autograd.grad(Loss("none", "wasserstein", "non_saturating").discriminator(real, fake), [real, fake])
    centered = Loss("centered", "wasserstein", "non_saturating")
    found = torch.autograd.grad(centered.discriminator(real, fake), [real, fake])
    torch.testing.assert_close(found, tuple(gradient / 2 for gradient in wanted))


def test_rsgan_is_the_paper_s_first_equation() -> None:
    """L_D = −E log sigmoid(C(x_r) − C(x_f)), L_G the same with the roles swapped."""
    real, fake = tensors()
    loss = get_loss("rsgan")
    torch.testing.assert_close(loss.discriminator(real, fake), -torch.log(torch.sigmoid(real - fake)).mean())
    torch.testing.assert_close(loss.generator(real, fake), -torch.log(torch.sigmoid(fake - real)).mean())


@pytest.mark.parametrize("loss", ALL, ids=name_of)
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_finite_at_large_logits(loss: Loss, size: float) -> None:
    real, fake = (torch.full((4,), s, requires_grad=True) for s in (size, -size))
    for value in (loss.discriminator(real, fake), loss.generator(real, fake)):
        assert torch.isfinite(value)
        for gradient in torch.autograd.grad(value, [real, fake], allow_unused=True):
            assert gradient is None or torch.isfinite(gradient).all()


def test_only_relativistic_generators_need_reals() -> None:
    for loss in ALL:
        assert loss.needs_real_for_generator == (loss.comparison != "none")
        if loss.needs_real_for_generator:
            with pytest.raises(ValueError, match="real"):
                loss.generator(None, torch.zeros(3))
        else:
            assert torch.isfinite(loss.generator(None, torch.zeros(3)))


def test_logits_of_the_networks_shape_give_the_same() -> None:
    for loss in ALL:
        real, fake = tensors()
        torch.testing.assert_close(loss.discriminator(real[:, None], fake[:, None]), loss.discriminator(real, fake))


def test_get_loss_replaces_single_choices() -> None:
    assert get_loss("ralsgan", comparison="pair") == Loss("pair", "least_squares", "non_saturating")
    assert get_loss("sgan", generator="saturating").generator_form == "saturating"


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"loss=rasgam.*did you mean rasgan\?"):
        get_loss("rasgam")
    with pytest.raises(ValueError, match=r"comparison='none_'.*none, pair"):
        Loss("none_", "standard", "saturating")


def test_pairs_of_unequal_number_are_refused() -> None:
    with pytest.raises(ValueError, match="as many reals as fakes"):
        get_loss("rsgan").discriminator(torch.zeros(3), torch.zeros(4))


def test_the_page_of_losses_has_every_name() -> None:
    """docs/losses.md, a row for each; what is not there is not there either."""
    page = (GOLDEN.parent.parent / "docs" / "losses.md").read_text()
    sections = dict(re.findall(r"^## (\w+).*?\n(.*?)(?=^## |\Z)", page, flags=re.MULTILINE | re.DOTALL))
    wanted = {
        "Comparisons": register.names("comparison"),
        "Functions": register.names("function"),
        "Estimators": ESTIMATORS,
        "Penalties": register.names("penalty"),
        "Names": group_options("loss"),
    }
    for section, names in wanted.items():
        rows = re.findall(r"^\| (`.*?) \|", sections[section], flags=re.MULTILINE)
        assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(names), section
    for name in register.names("penalty"):
        if name != "none":
            (weight,) = re.findall(
                rf"^\| `{name}` \|.*\| ([\d.]+) \| [\d.]+ \|$", sections["Penalties"], flags=re.MULTILINE
            )
            assert [float(weight)] == own_weights([name])
    for value in {*itertools.chain(*PENALTY_PARTS.values()), "cosine", "linear"}:
        assert f"`{value}`" in page or f"texttt{{{value}}}" in page, value
    for row in re.findall(r"^\| (`.*)\|$", sections["Names"], flags=re.MULTILINE):
        names, comparisons, functions = (cell.split(", ") for cell in row.split(" | ")[:3])
        for index, name in enumerate(each.strip("`") for each in names):
            loss = get_loss(name)
            assert loss.comparison == comparisons[index if len(comparisons) > 1 else 0]
            assert loss.function == functions[index if len(functions) > 1 else 0]


# --- estimators, arXiv 1901.02474 -------------------------------------------------------------------------------------

POPULATION_REAL, POPULATION_FAKE = np.array([0.4, -1.2, 2.0, 0.9]), np.array([-0.3, 1.1, -2.2, 0.1])
MVUE = [
    Loss("pair", function, form, estimator="mvue")
    for function in ("standard", "least_squares", "hinge", "wasserstein")
    for form in GENERATOR_FORMS
]


def all_pairs(loss: Loss, side: str, real: np.ndarray, fake: np.ndarray) -> float:
    """The mean of the loss over each pair of a real and a fake, one at a time."""
    formula = expected_discriminator if side == "discriminator" else expected_generator
    pairs = itertools.product(real, fake)
    return float(np.mean([formula(loss, np.array([r]), np.array([f])) for r, f in pairs]))


def over_batches(loss: Loss, side: str, k: int) -> np.ndarray:
    """The loss of every batch of k reals and k fakes, drawn from the population with replacement."""
    found = []
    for real in itertools.product(POPULATION_REAL, repeat=k):
        for fake in itertools.product(POPULATION_FAKE, repeat=k):
            found.append(getattr(loss, side)(torch.tensor(real).double(), torch.tensor(fake).double()).item())
    return np.array(found)


@pytest.mark.parametrize("loss", MVUE, ids=name_of)
@pytest.mark.parametrize("side", ["discriminator", "generator"])
def test_mvue_is_the_mean_over_all_pairs(loss: Loss, side: str) -> None:
    real, fake = tensors()
    value = getattr(loss, side)(real.view(-1, 1), fake.view(-1, 1))  # as a discriminator gives them
    np.testing.assert_allclose(value.item(), all_pairs(loss, side, REAL, FAKE), rtol=1e-12)
    found = torch.autograd.grad(value, [real, fake])
    wanted = finite_difference(lambda r, f: all_pairs(loss, side, r, f), REAL, FAKE)
    for gradient, expected in zip(found, wanted, strict=True):
        np.testing.assert_allclose(gradient.numpy(), expected, atol=1e-8)


@pytest.mark.parametrize("function", ["standard", "least_squares", "hinge"])
@pytest.mark.parametrize("side", ["discriminator", "generator"])
def test_mvue_is_unbiased_and_varies_no_more_than_pairs_do(function: str, side: str) -> None:
    mvue, plain = (Loss("pair", function, "non_saturating", estimator=each) for each in ("mvue", "plain"))
    of_batches, of_pairs = over_batches(mvue, side, 2), over_batches(plain, side, 2)
    population = all_pairs(mvue, side, POPULATION_REAL, POPULATION_FAKE)
    assert of_batches.mean() == pytest.approx(population, rel=1e-12)
    assert of_pairs.mean() == pytest.approx(population, rel=1e-12)
    assert of_batches.var() < of_pairs.var()


@pytest.mark.parametrize("comparison", ["average", "centered"])
@pytest.mark.parametrize("k", [2, 3])
def test_unbiased_gives_the_population_s_value_and_plain_misses_it(comparison: str, k: int) -> None:
    plain = Loss(comparison, "least_squares", "non_saturating")
    unbiased = Loss(comparison, "least_squares", "non_saturating", estimator="unbiased")
    population = expected_discriminator(plain, POPULATION_REAL, POPULATION_FAKE)
    variances = POPULATION_REAL.var(), POPULATION_FAKE.var()  # of drawing with replacement
    share = 0.5 if comparison == "average" else -0.25  # of s²/k: the half is the loss's scale
    assert over_batches(unbiased, "discriminator", k).mean() == pytest.approx(population, rel=1e-12)
    bias = over_batches(plain, "discriminator", k).mean() - population
    assert bias == pytest.approx(share * sum(variances) / k, rel=1e-12)
    # For the generator only the fakes' mean counts: that of the reals does not depend on it.
    for batch in (3, 5):
        real, fake = torch.tensor(REAL[:batch]), torch.tensor(FAKE[:batch])
        difference = plain.generator(real, fake) - unbiased.generator(real, fake)
        assert difference.item() == pytest.approx(share * FAKE[:batch].var(ddof=1) / batch, rel=1e-12)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (("average", "standard", "non_saturating", "mvue"), "takes all pairs, and loss.comparison=average makes none"),
        (("average", "hinge", "non_saturating", "unbiased"), "not for hinge with average; use one of these, or plain"),
        (("pair", "least_squares", "non_saturating", "unbiased"), "not for least_squares with pair"),
        (("average", "least_squares", "saturating", "unbiased"), "loss.generator=non_saturating only"),
        (("pair", "standard", "non_saturating", "best"), "must be one of plain, mvue, unbiased"),
    ],
)
def test_estimators_that_are_not_known_are_refused(choices: tuple[str, str, str, str], message: str) -> None:
    comparison, function, form, estimator = choices
    with pytest.raises(ValueError, match=message):
        Loss(comparison, function, form, estimator=estimator)
