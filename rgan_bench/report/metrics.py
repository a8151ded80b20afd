"""metrics.jsonl → curves of a run: losses, logits, gradient norms. Of a file that may hold anything."""

import json
import math
from pathlib import Path

MOST_BYTES = 50_000_000
MOST_POINTS = 120  # of a curve
KINDS = ("loss", "logits", "gradient_norm")
Curves = dict[str, list[tuple[float, float]]]


def read_curves(folder: Path) -> Curves:
    """Name (loss/generator) → (iteration, value), rising; empty where the file is not there or cannot be read.

    Of long files evenly spaced lines are taken. Lines that are torn and values that are not finite are passed over.
    """
    path = folder / "metrics.jsonl"
    try:
        if not path.is_file():  # a pipe would keep us waiting
            return {}
        with path.open("rb") as file:
            lines = file.read(MOST_BYTES).splitlines()
    except OSError:
        return {}
    step = max(1, len(lines) // MOST_POINTS)
    found: dict[str, dict[int, float]] = {}
    for line in [*lines[:-1][::step], *lines[-1:]]:
        for name, at, value in entries(line):
            found.setdefault(name, {})[at] = value
    # Constant zero is a penalty that the loss does not have.
    return {name: sorted(curve.items()) for name, curve in sorted(found.items()) if any(curve.values())}


def entries(line: bytes) -> list[tuple[str, int, float]]:
    """(name, iteration, value) of everything in a line that is a curve's."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return []
    at = content.get("iteration") if isinstance(content, dict) else None
    if type(at) is not int or not 0 <= at <= 10**15:
        return []
    return [
        (name, at, float(value))
        for name, value in content.items()
        if name.split("/")[0] in KINDS and type(value) in (int, float) and abs(value) < 1e30 and math.isfinite(value)
    ]
