"""The values of a JSON file, each with its place in it. What is asked of one, it is, or what it is instead is said."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args, get_origin

MOST_ITERATIONS = 10**15
MOST = 1e30  # of a score or a setting: squares of larger ones overflow
DEPTH = 4  # of lists and objects in each other, in a config


class Malformed(ValueError):
    """What is wrong with a file, for people."""


def printable(text: object) -> str:
    """The text with everything that is no visible character, nor a space, as Python writes it: a newline as \\n.

    A name with a newline would break a table's row, a lone surrogate cannot be written, and an escape sequence would be
    obeyed by the terminal.
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


@dataclass(frozen=True)
class Part:
    """A value somewhere in a file, and where. What is asked of it, it is, or Malformed is raised."""

    value: Any
    where: str = ""

    def wrong(self, wanted: str) -> Malformed:
        return Malformed(f"{printable(self.where) or 'the content'} is {self.shown()}, not {wanted}")

    def shown(self) -> str:
        if isinstance(self.value, (dict, list)):
            return "an object" if isinstance(self.value, dict) else "a list"
        text = printable(json.dumps(self.value))
        return text if len(text) <= 40 else text[:40] + "…"

    def parts(self) -> dict[str, "Part"]:
        if not isinstance(self.value, dict):
            raise self.wrong("an object")
        return {printable(key): self.at(key, value) for key, value in self.value.items()}

    def entries(self) -> list["Part"]:
        if not isinstance(self.value, list):
            raise self.wrong("a list")
        return [self.at(index, value) for index, value in enumerate(self.value)]

    def at(self, key: object, value: Any) -> "Part":
        return Part(value, f"{self.where}.{key}" if self.where else str(key))

    def has(self, key: str) -> bool:
        if not isinstance(self.value, dict):
            raise self.wrong("an object")
        return key in self.value

    def __getitem__(self, key: str) -> "Part":
        if not self.has(key):
            raise Malformed(f"{printable(self.at(key, None).where)} is missing")
        return self.at(key, self.value[key])

    def optional(self, key: str) -> "Part | None":
        """None where it is missing, or null."""
        found = self.parts().get(key)
        return found if found is not None and found.value is not None else None

    def each(self, key: str) -> "list[Part]":
        """The entries of a list; none where it is missing, or null."""
        found = self.optional(key)
        return found.entries() if found else []

    def text(self) -> str:
        if not isinstance(self.value, str):
            raise self.wrong("a text")
        return printable(self.value)

    def whole(self, most: float = math.inf) -> int:
        if type(self.value) is not int or not 0 <= self.value <= most:  # True is an int too
            raise self.wrong(f"a whole number from 0 to {most:,}" if most < math.inf else "a whole number from 0 on")
        return self.value

    def iteration(self) -> int:
        return self.whole(MOST_ITERATIONS)

    def number(self) -> float:
        if type(self.value) not in (int, float) or not -MOST <= self.value <= MOST:  # NaN is not, either
            raise self.wrong(f"a number within ±{MOST:g}")
        return float(self.value)

    def of_type(self, kind: Any) -> Any:
        """As the schema's fields are annotated."""
        if kind is bool:
            if not isinstance(self.value, bool):
                raise self.wrong("true or false")
            return self.value
        if kind == float | None:  # null is filled in before a run starts
            kind = float
        if kind in (str | list[str], float | list[float]):
            one, several = get_args(kind)
            kind = several if isinstance(self.value, list) else one
        if get_origin(kind) is list:
            return [entry.of_type(*get_args(kind)) for entry in self.entries()]
        readers: dict[Any, Callable[[], Any]] = {str: self.text, int: self.whole, float: self.number}
        return readers[kind]()

    def plain(self, depth: int = DEPTH) -> Any:
        """Texts, finite numbers, true, false and null, in lists and objects that lie at most so deep."""
        if isinstance(self.value, str):
            return self.text()
        if isinstance(self.value, float) and not math.isfinite(self.value):
            raise self.wrong("a finite number")
        if not isinstance(self.value, (dict, list)):
            return self.value
        if depth == 0:
            raise self.wrong("a single value")
        if isinstance(self.value, list):
            return [entry.plain(depth - 1) for entry in self.entries()]
        return {key: part.plain(depth - 1) for key, part in self.parts().items()}
