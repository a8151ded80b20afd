"""A curve in a terminal, of braille dots."""

from collections.abc import Sequence
from itertools import pairwise

BRAILLE = 0x2800
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a character: its rows from above, left and right
ASCII = str.maketrans({"│": "|", "┤": "+", "└": "+", "─": "-"})


def plot(points: Sequence[tuple[float, float]], width: int, height: int, *, ascii_only: bool = False) -> list[str]:
    """
    Args:
        points: (x, y), in the order in which they are joined; at least one.
        width, height: characters of the picture, its axes with their labels aside.
        ascii_only: a * for each character that has dots.

    Returns:
        Lines: y at the left, smallest and largest; x below.
    """
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    low, high = min(y for _, y in points), max(y for _, y in points)

    def dot(x: float, y: float) -> tuple[int, int]:
        across = (x - left) / ((right - left) or 1)
        down = (high - y) / ((high - low) or 1)
        return round(across * (2 * width - 1)), round(down * (4 * height - 1))

    cells = [[0] * width for _ in range(height)]
    dots = [dot(x, y) for x, y in points]
    for (x0, y0), (x1, y1) in pairwise([dots[0], *dots]):
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        for step in range(steps + 1):
            x, y = round(x0 + (x1 - x0) * step / steps), round(y0 + (y1 - y0) * step / steps)
            cells[y // 4][x // 2] |= DOTS[y % 4][x % 2]
    labels = [f"{high:.4g}", *[""] * (height - 2), f"{low:.4g}"]
    room = max(map(len, labels))
    lines = [
        f"{label:>{room}} {'┤' if label else '│'}{''.join(sign(bits, ascii_only) for bits in row)}"
        for label, row in zip(labels, cells, strict=True)
    ]
    lines.append(f"{'':{room}} └{'─' * width}")
    ends = f"{right:g}"
    lines.append(f"{'':{room}}  {left:<{width - len(ends)}g}{ends}")
    return [line.translate(ASCII) for line in lines] if ascii_only else lines


def sign(bits: int, ascii_only: bool) -> str:
    if not bits:
        return " "
    return "*" if ascii_only else chr(BRAILLE + bits)
