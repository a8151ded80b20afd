"""Functions of float64 arrays that have the same bits on every processor.

PyTorch's cosines and logarithms, and NumPy's, are other code for each width of vector registers. Here everything is
+, −, ×, ÷, square root, floor, minimum and maximum, one operation an array: what IEEE 754 defines to the last bit,
without sums whose order a processor chooses.
"""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Of sin(x)/x in x², up to x¹⁵: wrong by less than 1e-11 for |x| ≤ π/2.
SINE = [(-1.0) ** k / math.factorial(2 * k + 1) for k in range(8)]
# Of artanh(x)/x in x², up to x¹⁷: wrong by less than 1e-15 for |x| ≤ 0.172.
ARTANH = [1 / (2 * k + 1) for k in range(9)]


def sine(turns: Floats) -> Floats:
    """Of an angle in turns."""
    turns = turns - np.floor(turns + 0.5)  # in [−½, ½]
    turns = np.minimum(turns, 0.5 - turns)  # the sine of ¼ + t is that of ¼ − t …
    turns = np.maximum(turns, -0.5 - turns)  # … and that of −¼ − t is that of −¼ + t: in [−¼, ¼]
    angle = turns * (2 * math.pi)
    return _series(SINE, angle * angle) * angle


def cosine(turns: Floats) -> Floats:
    """Of an angle in turns."""
    return sine(turns + 0.25)


def logarithm(values: Floats) -> Floats:
    """The natural one, of positive numbers."""
    mantissa, exponent = np.frexp(values)  # exact
    low = mantissa < math.sqrt(0.5)
    mantissa, exponent = np.where(low, 2 * mantissa, mantissa), exponent - low  # in [√½, √2)
    part = (mantissa - 1) / (mantissa + 1)
    found: Floats = exponent * math.log(2) + 2 * (_series(ARTANH, part * part) * part)
    return found


def normals(one: Floats, two: Floats) -> tuple[Floats, Floats]:
    """Two independent standard normal numbers from two uniform ones in [0, 1): Box and Muller 1958."""
    radius = np.sqrt(-2 * logarithm(1 - one))
    return radius * cosine(two), radius * sine(two)


def _series(coefficients: list[float], argument: Floats) -> Floats:
    total = np.full_like(argument, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total *= argument
        total += coefficient
    return total
