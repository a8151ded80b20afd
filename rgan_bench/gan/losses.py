"""GAN losses as products of independent choices: comparison × function × generator form.

r = C(real) and f = C(fake) are logits, the discriminator's output before any activation. A comparison turns them into
r̃ and f̃; a function scores each side. Source: arXiv 1807.00734 section 3 and its appendix; `centered`: 1901.02474.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from rgan_bench import register
from rgan_bench.config.combinations import estimator_problem
from rgan_bench.config.schema import ESTIMATORS, GENERATOR_FORMS, PENALTY_PARTS, LossConfig
from rgan_bench.config.validate import load_group_option
from rgan_bench.gan.penalties import NO_PENALTY, Penalties, get_penalties
from rgan_bench.register import comparison, function

# --- comparisons: (r, f) → (r̃, f̃) ---------------------------------------------------------------------------------


@comparison("none")
def no_comparison(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Each side by itself: the GANs before relativism."""
    return real, fake


@comparison("pair")
def pair(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """RGAN: each real against the fake of the same index."""
    if real.shape != fake.shape:
        raise ValueError(
            f"comparison=pair needs as many reals as fakes, got {tuple(real.shape)} and {tuple(fake.shape)}"
        )
    return real - fake, fake - real


@comparison("average")
def average(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """RaGAN: each side against the mean of the other."""
    return real - fake.mean(), fake - real.mean()


@comparison("average_v1")
def average_v1(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """RaGAN as the author's first public code computed it: mean(f) − r stands where f − mean(r) belongs."""
    return real - fake.mean(), fake.mean() - real


@comparison("centered")
def centered(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """RcGAN: both sides against the midpoint of the two means."""
    midpoint = (real.mean() + fake.mean()) / 2
    return real - midpoint, fake - midpoint


# --- functions: how good t is as a logit of something that should be judged real (or fake), elementwise ---------------


@function("standard")
def standard(logits: Tensor, real: bool) -> Tensor:
    """−log sigmoid(±t): cross-entropy, as softplus, which neither overflows nor loses digits."""
    return F.softplus(-logits if real else logits)


@function("least_squares")
def least_squares(logits: Tensor, real: bool) -> Tensor:
    """(t ∓ 1)², Mao et al. 2017 with the targets 1 and −1."""
    return (logits - 1 if real else logits + 1).square()


def least_squares_zero_one(logits: Tensor, real: bool) -> Tensor:
    """(t − 1)² and t²: LSGAN's own targets, 1 and 0, for the non-relativistic case."""
    return (logits - 1 if real else logits).square()


@function("hinge")
def hinge(logits: Tensor, real: bool) -> Tensor:
    """relu(1 ∓ t), Lim and Ye 2017."""
    return F.relu(1 - logits if real else 1 + logits)


@function("wasserstein")
def wasserstein(logits: Tensor, real: bool) -> Tensor:
    """∓t: the identity, an integral probability metric."""
    return -logits if real else logits


# --- the product ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Loss:
    """One GAN loss. `discriminator` and `generator` take logits of any shape [B, …] and return a scalar, a mean over
    the batch.

    Attributes:
        estimator: of what the means in a relativistic loss stand for (arXiv 1901.02474): plain (the batch's means);
            mvue (all pairs of the batch, the minimum-variance unbiased estimator); unbiased (the batch's means, less
            their bias).
        penalty: on the discriminator, weighted: (discriminator, reals, fakes, u, …) → scalar. It is added to the
            discriminator's loss by whoever has the images: `discriminator` has only logits.

    Raises:
        ValueError: a choice that there is not.
    """

    comparison: str
    function: str
    generator_form: str
    penalty: Penalties = NO_PENALTY
    estimator: str = "plain"

    def __post_init__(self) -> None:
        for kind, value in (("comparison", self.comparison), ("function", self.function)):
            register.get(kind, value)
        if self.generator_form not in GENERATOR_FORMS:
            raise ValueError(f"generator={self.generator_form!r}: must be one of {', '.join(GENERATOR_FORMS)}")
        if self.estimator not in ESTIMATORS:
            raise ValueError(f"estimator={self.estimator!r}: must be one of {', '.join(ESTIMATORS)}")
        problem = estimator_problem(self.estimator, self.comparison, self.function, self.generator_form)
        if problem:
            raise ValueError(f"estimator={self.estimator!r}: {problem}")

    @property
    def is_relativistic(self) -> bool:
        return self.comparison != "none"

    @property
    def needs_real_for_generator(self) -> bool:
        """Only a relativistic generator loss looks at reals."""
        return self.is_relativistic

    @property
    def scale(self) -> float:
        """A relativistic loss counts every sample twice, hence the half; it matters beside a penalty."""
        return 0.5 if self.is_relativistic else 1.0

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """scale · (mean f1(r̃) + mean f2(f̃))."""
        value = self._two_terms(real_logits, fake_logits, real_is_real=True)
        return value - self._bias(real_logits, fake_logits) if self.estimator == "unbiased" else value

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        """The loss that the generator minimises; `real_logits` may be None unless `needs_real_for_generator`."""
        if not self.is_relativistic:
            return self._fake_term_alone(fake_logits)
        if real_logits is None:
            raise ValueError(f"comparison={self.comparison}: the generator's loss needs the logits of real images")
        if self.generator_form == "saturating":
            return -self.discriminator(real_logits, fake_logits)
        value = self._two_terms(real_logits, fake_logits, real_is_real=False)
        return value - self._bias(fake_logits) if self.estimator == "unbiased" else value

    def describe(self) -> str:
        """The loss in words, for people."""
        function, generator = self.function.replace("_", " "), self.generator_form.replace("_", "-")
        if not self.is_relativistic:
            return f"{function} function, not relativistic, {generator} generator"
        comparison = self.comparison.replace("_", " ") + {"plain": ""}.get(self.estimator, f", {self.estimator}")
        return f"{function} function, relativistic ({comparison}), {generator} generator"

    def _two_terms(self, real: Tensor, fake: Tensor, *, real_is_real: bool) -> Tensor:
        """Both sides scored, the real one as real or, for the generator, with the roles swapped."""
        if self.estimator == "mvue":
            return self._all_pairs(real.flatten(), fake.flatten(), real_is_real)
        real, fake = register.get("comparison", self.comparison)(real, fake)
        return self.scale * (self._score(real, real_is_real).mean() + self._score(fake, not real_is_real).mean())

    def _all_pairs(self, real: Tensor, fake: Tensor, real_is_real: bool) -> Tensor:
        """As comparison `pair`, over all k² pairs of the batch instead of the k of equal index."""
        if self.function == "least_squares":  # their mean in k steps; both terms are equal
            target = 1.0 if real_is_real else -1.0
            spread = real.var(correction=0) + fake.var(correction=0)
            return 2 * self.scale * (spread + (real.mean() - fake.mean() - target).square())
        differences = real[:, None] - fake
        real_term, fake_term = self._score(differences, real_is_real), self._score(-differences, not real_is_real)
        return self.scale * (real_term.mean() + fake_term.mean())

    def _bias(self, *logits: Tensor) -> Tensor:
        """By how much a least-squares loss is too large since it takes the batch's means for the population's.

        In `average` each mean adds its own variance, s²/k. In `centered`, where a sample is part of its own midpoint,
        half as much is missing.
        """
        share = {"average": 1.0, "centered": -0.5}[self.comparison] * self.scale
        return share * torch.stack([each.var() / each.numel() for each in logits]).sum()

    def _fake_term_alone(self, fake: Tensor) -> Tensor:
        if self.generator_form == "saturating":
            return -self._score(fake, False).mean()
        if self.function == "hinge":  # the plain hinge's generator is not the clamped swap (Miyato et al. 2018)
            return -fake.mean()
        return self._score(fake, True).mean()

    def _score(self, logits: Tensor, real: bool) -> Tensor:
        if self.function == "least_squares" and not self.is_relativistic:
            return least_squares_zero_one(logits, real)
        found: Callable[[Tensor, bool], Tensor] = register.get("function", self.function)
        return found(logits, real)


def get_loss(
    name: str,
    *,
    comparison: str | None = None,
    function: str | None = None,
    generator: str | None = None,
    penalty: str | Sequence[str] | None = None,
    penalty_weight: float | Sequence[float] | None = None,
    estimator: str | None = None,
) -> Loss:
    """The loss of `configs/loss/<name>.yaml` with its penalty, single choices replaced where given.

    Raises:
        UserError: there is no such file.
        ValueError: a choice that there is not.
    """
    choices = load_group_option("loss", name)
    weight = choices["penalty_weight"] if penalty_weight is None else penalty_weight
    return Loss(
        comparison=comparison or choices["comparison"],
        function=function or choices["function"],
        generator_form=generator or choices["generator"],
        penalty=get_penalties(penalty or choices["penalty"], weight),
        estimator=estimator or choices.get("estimator", "plain"),
    )


def loss_of(config: LossConfig) -> Loss:
    """The loss of a validated config."""
    parts = {part: getattr(config, f"penalty_{part}") for part in PENALTY_PARTS}
    penalty = get_penalties(config.penalty, config.penalty_weight, **parts)
    return Loss(config.comparison, config.function, config.generator, penalty, config.estimator)
