"""Pictures and films of what generators make: grids, interpolations between latents, the course of a training."""

import io
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.utils import make_grid

from rgan_bench.data.load import load_data
from rgan_bench.data.points import PointDataset
from rgan_bench.errors import UserError
from rgan_bench.files import write_atomically
from rgan_bench.generators.images import Trained, draw, fixed, from_latents, latents
from rgan_bench.run.grids import scatter

Picture = Image.Image
FILM_SIDE = 320  # pixels: films of small images are enlarged to about that
INTERPOLATION_MS = 80  # a frame
TRAINING_SECONDS = 10  # about how long a film of a training is
HELD_MS = 2000  # its last frame


def grid(images: Tensor, columns: int) -> Picture:
    """uint8 [N, 3, H, W] → rows of so many, two pixels apart."""
    return Image.fromarray(make_grid(images, nrow=columns).permute(1, 2, 0).numpy())


def sampled_grid(trained: Trained, rows: int, columns: int, seed: int) -> Picture:
    """The first images of the seed, or of points (of as many as rows × columns) a scatter plot over real ones.

    Raises:
        UserError: they are not finite, or of points the data set is not there.
    """
    fakes = torch.cat(list(draw(trained, rows * columns, seed)))
    if not trained.of_points:
        return grid(fakes, columns)
    data = load_data(trained.config.data, trained.config.limits, trained.config.fid.cache_dir)
    if not isinstance(data, PointDataset):
        raise UserError(f"{trained.path}: its data={data.name} holds no points to draw the fakes over")
    picture = io.BytesIO()
    scatter(data, fakes, picture)
    return Image.open(picture).convert("RGB")


def slerp(start: Tensor, end: Tensor, steps: Tensor) -> Tensor:
    """Spherical interpolation (Shoemake 1985; for latents White 2016, arXiv 1609.04468): latents on the way have the
    norm that latents have, where those on a straight line would be too short.

    Args:
        start, end: [N, D].
        steps: [K] in [0, 1].

    Returns:
        [N, K, D]. Straight where the two are parallel, or opposite, since then no arc is the shortest.
    """
    angle = torch.acos(torch.cosine_similarity(start, end, dim=1).clamp(-1, 1))[:, None, None]
    t, start, end = steps[None, :, None], start[:, None], end[:, None]
    bent = (torch.sin((1 - t) * angle) * start + torch.sin(t * angle) * end) / torch.sin(angle)
    return torch.where(torch.sin(angle) < 1e-4, torch.lerp(start, end, t), bent)


def interpolation_grid(trained: Trained, count: int, steps: int, seed: int) -> Picture:
    """A row for each of `count` pairs of latents: from the one to the other, both of them included.

    Raises:
        UserError: an image is not finite.
    """
    pairs = torch.stack([latents(trained, 2, seed, "interpolate/latent", row) for row in range(count)])
    z = slerp(pairs[:, 0], pairs[:, 1], torch.linspace(0, 1, steps, device=pairs.device))
    return grid(from_latents(trained, fixed(trained, seed), z.flatten(0, 1)), steps)


def interpolation_film(
    trained: Trained, count: int, steps: int, rows: int, columns: int, seed: int
) -> Iterator[Picture]:
    """`count` × `steps` frames of rows × columns images, each of which goes its own way: over `count` latents, with so
    many frames from one to the next, and back to the first.

    Raises:
        UserError: an image is not finite.
    """
    stops = [latents(trained, rows * columns, seed, "interpolate/latent", index) for index in range(count)]
    generator = fixed(trained, seed)
    for start, end in zip(stops, [*stops[1:], stops[0]], strict=True):
        way = slerp(start, end, torch.arange(steps, device=start.device) / steps)
        for index in range(steps):
            yield enlarged(grid(from_latents(trained, generator, way[:, index]), columns))


def training_frame(trained: Trained, rows: int, columns: int, seed: int) -> Picture:
    """As `sampled_grid`, with the iteration written below."""
    return captioned(enlarged(sampled_grid(trained, rows, columns, seed)), f"iteration {trained.iteration:,}")


def enlarged(picture: Picture) -> Picture:
    """By a whole number, so that pixels stay pixels."""
    factor = max(1, round(FILM_SIDE / max(picture.size)))
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def captioned(picture: Picture, text: str) -> Picture:
    size = max(12, picture.width // 22)
    framed = Image.new("RGB", (picture.width, picture.height + 2 * size), "white")
    framed.paste(picture)
    middle = (picture.width // 2, picture.height + size)
    ImageDraw.Draw(framed).text(middle, text, fill="black", font=_font(size), anchor="mm")
    return framed


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def training_durations(frames: int) -> list[int]:
    """Milliseconds of each frame: few ones stay longer, and the last one longest."""
    each = max(40, min(500, TRAINING_SECONDS * 1000 // frames))
    return [each] * (frames - 1) + [HELD_MS]


def write_film(path: Path, frames: list[Picture], durations: list[int]) -> None:
    """A film that begins again at its end, as .gif or .webp.

    Args:
        durations: milliseconds of each frame.

    Raises:
        OSError: it cannot be written; `path` is as it was.
    """
    first, *others = frames
    form = {"format": "WEBP", "quality": 90} if path.suffix == ".webp" else {"format": "GIF"}
    write_atomically(
        path,
        lambda file: first.save(file, save_all=True, append_images=others, duration=durations, loop=0, **form),
    )


def write_picture(path: Path, picture: Picture) -> None:
    """As PNG.

    Raises:
        OSError: it cannot be written; `path` is as it was.
    """
    write_atomically(path, lambda file: picture.save(file, format="PNG"))
