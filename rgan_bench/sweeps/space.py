"""What a search varies: keys that are listed, each combination of whose values is tried equally often, and keys whose
values are drawn."""

import itertools
import math
import random
from dataclasses import dataclass
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, Transformer

from rgan_bench.errors import UserError


@dataclass(frozen=True)
class Interval:
    """From low to high; of whole numbers both are among them.

    Attributes:
        log: uniform in the logarithm.
    """

    low: float
    high: float
    log: bool
    whole: bool

    def at(self, place: float) -> str:
        """The value at a place in [0, 1), to four digits: more would only make names longer."""
        low, high = (self.low - 0.5, self.high + 0.5) if self.whole else (self.low, self.high)
        value = low * (high / low) ** place if self.log else low + (high - low) * place
        return str(min(max(round(value), int(self.low)), int(self.high))) if self.whole else f"{value:.4g}"


Choices = tuple[str, ...]


@dataclass(frozen=True)
class Space:
    """
    Attributes:
        groups: the overrides of each combination of what is listed, together with what is fixed.
        varied: key → what it is drawn from.
    """

    groups: list[list[str]]
    varied: dict[str, Interval | Choices]

    @classmethod
    def of(cls, overrides: list[Override]) -> "Space":
        """
        Raises:
            UserError: an interval that is none.
        """
        last = {override.get_key_element(): override for override in overrides}  # as with Hydra's own sweeper
        varied = {key: found for key, override in last.items() if (found := varied_by(override)) is not None}
        listed = [override for key, override in last.items() if key not in varied]
        (groups,) = BasicSweeper.split_arguments(listed, None)
        return cls([list(group) for group in groups], varied)

    def random_cells(self, trials: int, seed: int) -> list[list[str]]:
        """The overrides of each cell: all groups at the first draw, then at the second, and so on, so that a search
        that is stopped has tried all equally often. What is drawn depends on the seed, the key and the trial's number
        alone; what is drawn again, of a few whole numbers or choices, is the same run, and stands there once.

        Raises:
            UserError: there is nothing to draw.
        """
        self.check(trials)
        drawn = dict.fromkeys(tuple(self.draw(seed, number)) for number in range(trials))
        return [[*group, *each] for each, group in itertools.product(drawn, self.groups)]

    def draw(self, seed: int, number: int) -> list[str]:
        drawn = []
        for key, source in self.varied.items():
            place = random.Random(f"{seed} {key} {number}").random()
            value = source.at(place) if isinstance(source, Interval) else source[int(place * len(source))]
            drawn.append(f"{key}={value}")
        return drawn

    def check(self, trials: Any) -> None:
        """
        Raises:
            UserError: there is nothing to search, or nothing to be done.
        """
        if not isinstance(trials, int) or isinstance(trials, bool) or trials < 1:
            raise UserError(f"hydra.sweeper.n_trials={trials}: must be a whole number, at least 1")
        if not self.varied:
            raise UserError(
                "hydra.sweeper: nothing is searched; name an interval, such as "
                "'optim.lr=tag(log,interval(1e-5,1e-2))', or choices, such as 'optim.n_d=choice(1,2,5)'"
            )


def varied_by(override: Override) -> Interval | Choices | None:
    """What is written as an interval or as choice(…). A plain list is no such thing: all of its values are wanted."""
    value = override.value() if override.is_sweep_override() else None
    if isinstance(value, ChoiceSweep) and not value.simple_form:
        return tuple(str(each) for each in override.sweep_iterator(transformer=Transformer.encode))
    if not isinstance(value, IntervalSweep):
        return None
    assert value.start is not None and value.end is not None
    whole = isinstance(value.start, int) and isinstance(value.end, int)
    found = Interval(float(value.start), float(value.end), "log" in value.tags, whole)
    finite = math.isfinite(found.low) and math.isfinite(found.high)
    if not finite or found.low >= found.high or (found.log and found.low <= 0):
        beyond = " and above 0, for its logarithm" if found.log else ""
        raise UserError(f"{override.input_line}: the interval must lead from a number to a larger one{beyond}")
    return found
