"""The embedded demo set: antialiased geometric shapes on varied backgrounds, drawn from a seed."""

import math
from typing import Any

import torch
from torch import Tensor

from rgan_bench.data.dataset import ImageDataset, check_room
from rgan_bench.rng import stream
from rgan_bench.schema import LimitsConfig

SHAPES = ("disc", "square", "triangle", "ring", "cross")
BACKGROUNDS = ("plain", "gradient", "stripes", "vignette")
CHUNK = 1000  # images drawn at a time: bounds the memory


def load(data: Any, limits: LimitsConfig) -> ImageDataset:
    """`data.num_images` pictures of one shape each; kind, place, size, turn and colours vary.

    Raises:
        UserError: they would take too much memory.
    """
    check_room(data.num_images, data.image_size, limits, f"data.num_images={data.num_images}")
    chunks = [
        draw(min(CHUNK, data.num_images - start), data.image_size, stream(data.data_seed, "data/demo", start))
        for start in range(0, data.num_images, CHUNK)
    ]
    return ImageDataset.from_images("demo", f"drawn from data_seed {data.data_seed}", torch.cat(chunks))


def draw(count: int, size: int, generator: torch.Generator) -> Tensor:
    """uint8 [count, 3, size, size]."""

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *(shape or (1, 1)), generator=generator)

    pixel = (torch.arange(size) + 0.5) / size * 2 - 1
    y, x = torch.meshgrid(pixel, pixel, indexing="ij")  # [size, size] in (−1, 1)

    # Backgrounds: two muted colours, mixed by a pattern in [0, 1].
    turn = uniform(0, 2 * math.pi)
    along = x * turn.cos() + y * turn.sin()
    patterns = torch.stack(
        [
            torch.zeros(count, size, size),
            (along / 2 + 0.5).clamp(0, 1),
            0.5 + 0.5 * torch.sin(along * uniform(5, 9) + uniform(0, 2 * math.pi)),
            ((x.square() + y.square()) / 2).expand(count, -1, -1),
        ]
    )
    pattern = _pick(patterns, generator)
    base = uniform(0.35, 0.7, 3, 1, 1)
    background = torch.lerp(base, base + uniform(-0.3, 0.3, 3, 1, 1), pattern[:, None])

    # Shapes: signed distances in units of the half side, negative inside.
    radius = uniform(0.5, 0.7)
    u, v = x - uniform(-0.2, 0.2), y - uniform(-0.2, 0.2)
    turn = uniform(0, 2 * math.pi)
    u, v = u * turn.cos() + v * turn.sin(), v * turn.cos() - u * turn.sin()
    distance = _pick(torch.stack(_signed_distances(u, v, radius)), generator)
    coverage = (0.5 - distance * size / 2).clamp(0, 1)  # antialiased over one pixel

    colour = _vivid_colours(uniform(0, 1, 1, 1), uniform(0.8, 1, 1, 1))
    image = torch.lerp(background, colour, coverage[:, None])
    return (image * 255).round().to(torch.uint8)


def _signed_distances(u: Tensor, v: Tensor, radius: Tensor) -> list[Tensor]:
    """One tensor [B, size, size] a shape, in the order of SHAPES."""
    length = (u.square() + v.square()).sqrt()
    corners = [math.pi / 2 + k * 2 * math.pi / 3 for k in range(3)]
    triangle = torch.stack([u * math.cos(angle) + v * math.sin(angle) for angle in corners]).amax(0) - radius * 0.55
    bar = 0.32 * radius
    cross = torch.minimum(
        torch.maximum(u.abs() - radius, v.abs() - bar), torch.maximum(v.abs() - radius, u.abs() - bar)
    )
    return [
        length - radius,
        torch.maximum(u.abs(), v.abs()) - 0.8 * radius,
        triangle,
        (length - 0.75 * radius).abs() - 0.25 * radius,
        cross,
    ]


def _vivid_colours(hue: Tensor, value: Tensor) -> Tensor:
    """Fully saturated RGB [B, 3, 1, 1] of hue and value [B, 1, 1], both in [0, 1]."""
    offsets = torch.tensor([0.0, 2 / 3, 1 / 3]).view(1, 3, 1, 1)
    return value[:, None] * ((((hue[:, None] + offsets) % 1) * 6 - 3).abs() - 1).clamp(0, 1)


def _pick(kinds: Tensor, generator: torch.Generator) -> Tensor:
    """For each of B images one of K kinds, evenly: [K, B, H, W] → [B, H, W]."""
    count = kinds.shape[1]
    chosen = torch.randint(len(kinds), (count,), generator=generator)
    return kinds[chosen, torch.arange(count)]
