"""The embedded sets: antialiased geometric shapes on backgrounds, drawn from a seed.

The pixels are part of what a run's fingerprint covers, so they must not depend on the machine. PyTorch's uniform and
integer draws do not. So the draws are PyTorch's, and everything after them is the arithmetic of exact.py.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rgan_bench.config.schema import LimitsConfig
from rgan_bench.data.dataset import ImageDataset, check_room
from rgan_bench.data.exact import Floats, cosine, sine
from rgan_bench.register import dataset
from rgan_bench.rng import stream

SHAPES = ("disc", "square", "triangle", "ring", "cross")
BACKGROUNDS = ("plain", "gradient", "stripes", "vignette")
SETS = {  # data set → the kinds that it has, and by how much a shape is turned at most
    "demo": (SHAPES, BACKGROUNDS, 1.0),
    "shapes": (("disc", "square", "ring"), ("plain", "gradient"), 0.0),  # learnt in two minutes
}
CHUNK = 1000  # images drawn from one stream
PIXELS = 1 << 15  # painted at a time: bounds the memory, and stays within a processor's caches


@dataset("shapes")
@dataset("demo")
def load(data: Any, limits: LimitsConfig) -> ImageDataset:
    """`data.num_images` pictures of one shape each; kind, place, size, turn and colours vary.

    Raises:
        UserError: they would take too much memory.
    """
    check_room(data.num_images, data.image_size, limits, f"data.num_images={data.num_images}")
    images = np.empty((data.num_images, 3, data.image_size, data.image_size), dtype=np.uint8)
    for start in range(0, data.num_images, CHUNK):
        draw(images[start : start + CHUNK], stream(data.data_seed, "data/demo", start), *SETS[data.name])
    return ImageDataset.from_images(data.name, f"drawn from data_seed {data.data_seed}", torch.from_numpy(images))


def draw(
    images: np.ndarray,
    generator: torch.Generator,
    shapes: tuple[str, ...],
    backgrounds: tuple[str, ...],
    most_turn: float,
) -> None:
    """Fills uint8 [B, 3, size, size] with these kinds, all of them equally likely."""
    count = len(images)

    def uniform(low: float, high: float, channels: int = 1) -> Floats:
        drawn = torch.rand(count, channels, 1, 1, generator=generator).numpy().astype(np.float64)
        return low + (high - low) * drawn

    def one_of(chosen: tuple[str, ...], kinds: tuple[str, ...]) -> np.ndarray:
        drawn = torch.randint(len(chosen), (count,), generator=generator).numpy()
        found: np.ndarray = np.array([kinds.index(kind) for kind in chosen])[drawn]
        return found

    # The order of these lines is part of what a seed means. Angles are in turns.
    looks = {
        "background_turn": uniform(0, 1),
        "stripes": uniform(5, 9) / (2 * math.pi),  # a unit of length
        "stripes_phase": uniform(0, 1),
        "background": one_of(backgrounds, BACKGROUNDS),
        "base": uniform(0.35, 0.7, 3),
        "difference": uniform(-0.3, 0.3, 3),
        "radius": uniform(0.5, 0.7),
        "x": uniform(-0.2, 0.2),
        "y": uniform(-0.2, 0.2),
        "turn": uniform(0, most_turn),
        "shape": one_of(shapes, SHAPES),
        "colour": _vivid_colours(uniform(0, 1), uniform(0.8, 1)),
    }
    group = max(1, PIXELS // images[0, 0].size)
    for start in range(0, count, group):
        part = slice(start, start + group)
        _paint(images[part], {name: values[part] for name, values in looks.items()})


def _paint(images: np.ndarray, looks: dict[str, np.ndarray]) -> None:
    """From the looks of B images, [B, 1 or 3, 1, 1] each and kinds as [B], to their pixels."""
    size = images.shape[-1]
    pixel = (np.arange(size) + 0.5) / size * 2 - 1
    x, y = pixel[None, None, None, :], pixel[None, None, :, None]  # in (−1, 1)

    # Backgrounds: two muted colours, mixed by a pattern in [0, 1].
    along = x * cosine(looks["background_turn"]) + y * sine(looks["background_turn"])
    patterns: list[Callable[..., Any]] = [
        lambda along, stripes, phase: 0.0,
        lambda along, stripes, phase: _clip(along / 2 + 0.5),
        lambda along, stripes, phase: 0.5 + 0.5 * sine(along * stripes + phase),
        lambda along, stripes, phase: (x * x + y * y) / 2,
    ]
    pattern = _each(patterns, looks["background"], along, looks["stripes"], looks["stripes_phase"])

    # Shapes: signed distances in units of the half side, negative inside.
    u, v = x - looks["x"], y - looks["y"]
    along_u, along_v = cosine(looks["turn"]), sine(looks["turn"])
    u, v = u * along_u + v * along_v, v * along_u - u * along_v
    distance = _each([_disc, _square, _triangle, _ring, _cross], looks["shape"], u, v, looks["radius"])
    coverage = _clip(0.5 - distance * size / 2)  # antialiased over one pixel

    for channel in range(3):
        own = slice(channel, channel + 1)
        background = looks["base"][:, own] + looks["difference"][:, own] * pattern
        mixed = background + (looks["colour"][:, own] - background) * coverage
        images[:, own] = np.floor(mixed * 255 + 0.5)


def _disc(u: Floats, v: Floats, radius: Floats) -> Floats:
    return np.sqrt(u * u + v * v) - radius


def _square(u: Floats, v: Floats, radius: Floats) -> Floats:
    return np.maximum(abs(u), abs(v)) - 0.8 * radius


def _triangle(u: Floats, v: Floats, radius: Floats) -> Floats:
    """Corners at a quarter turn and a third of a turn to either side: cosines 0 and ±√¾, sines 1 and −½."""
    return np.maximum(v, abs(u) * math.sqrt(0.75) - v / 2) - 0.55 * radius


def _ring(u: Floats, v: Floats, radius: Floats) -> Floats:
    return abs(np.sqrt(u * u + v * v) - 0.75 * radius) - 0.25 * radius


def _cross(u: Floats, v: Floats, radius: Floats) -> Floats:
    u, v, bar = abs(u), abs(v), 0.32 * radius
    return np.minimum(np.maximum(u - radius, v - bar), np.maximum(v - radius, u - bar))


def _vivid_colours(hue: Floats, value: Floats) -> Floats:
    """Fully saturated RGB [B, 3, 1, 1] of hue and value [B, 1, 1, 1], both in [0, 1]."""
    turned = hue + np.array([0, 2 / 3, 1 / 3]).reshape(1, 3, 1, 1)
    return value * _clip(abs((turned - np.floor(turned)) * 6 - 3) - 1)


def _each(kinds: list[Callable[..., Any]], chosen: NDArray[np.int64], *arguments: Floats) -> Floats:
    """Each of B images by the one of `kinds` that is chosen for it: [B, 1, H, W], the shape of the first argument."""
    found = np.empty_like(arguments[0])
    for kind, function in enumerate(kinds):
        of_kind = np.flatnonzero(chosen == kind)
        found[of_kind] = function(*(argument[of_kind] for argument in arguments))
    return found


def _clip(values: Floats) -> Floats:
    return np.minimum(np.maximum(values, 0), 1)
