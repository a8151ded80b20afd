"""Interpolations and films."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rgan_bench.generators.images import fixed, from_latents, latents, open_trained
from rgan_bench.generators.pictures import (
    interpolation_film,
    interpolation_grid,
    slerp,
    training_durations,
    training_frame,
    write_film,
)
from tests.generators.made import Tiny, made_run


def test_slerp_goes_along_the_arc_at_constant_speed() -> None:
    """By rotating in the plane of the two, in float64."""
    start, end = torch.randn(2, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    end = end / end.norm(dim=1, keepdim=True) * start.norm(dim=1, keepdim=True)
    steps = torch.tensor([0, 0.25, 0.7, 1], dtype=torch.float64)
    way = slerp(start, end, steps)
    assert way.shape == (5, 4, 7)
    for a, b, found in zip(start, end, way, strict=True):
        radius = a.norm()
        angle = math.acos((a @ b / radius**2).item())
        across = b - (a @ b) / radius**2 * a
        across = across / across.norm() * radius
        wanted = [math.cos(t * angle) * a + math.sin(t * angle) * across for t in steps.tolist()]
        torch.testing.assert_close(found, torch.stack(wanted))


def test_slerp_is_straight_where_there_is_no_shortest_arc() -> None:
    start, end = torch.tensor([[1.0, 2.0], [1.0, 2.0]]), torch.tensor([[2.0, 4.0], [-1.0, -2.0]])
    middle = slerp(start, end, torch.tensor([0.5]))[:, 0]
    torch.testing.assert_close(middle, torch.tensor([[1.5, 3.0], [0.0, 0.0]]))


@pytest.mark.parametrize("batch_norm", ["batch", "running"])
def test_an_image_on_the_way_depends_on_its_latent_alone(tiny_config: Tiny, batch_norm: str) -> None:
    trained = open_trained(made_run(tiny_config()), batch_norm=batch_norm)
    generator = fixed(trained, 7)
    picture = torch.from_numpy(np.array(interpolation_grid(trained, 2, 4, 7))).permute(2, 0, 1)
    assert picture.shape == (3, 2 * 34 + 2, 4 * 34 + 2)
    ends = latents(trained, 2, 7, "interpolate/latent", 1)  # of the second row
    for image, left in zip(from_latents(trained, generator, ends), (2, 3 * 34 + 2), strict=True):
        assert (picture[:, 36:68, left : left + 32].int() - image.int()).abs().max() <= 1
    frames = list(interpolation_film(trained, 3, 2, 1, 2, 7))
    assert len(frames) == 6
    stops = [latents(trained, 2, 7, "interpolate/latent", index) for index in range(3)]
    for frame, stop in zip(frames[::2], stops, strict=True):
        enlargement = frame.width // (2 * 34 + 2)
        small = np.array(frame)[::enlargement, ::enlargement].transpose(2, 0, 1)[:, 2:34, 2:34]
        wanted = from_latents(trained, generator, stop[:1])[0].int().numpy()
        assert np.abs(small.astype(int) - wanted).max() <= 1


@pytest.mark.parametrize("name", ["film.gif", "film.webp"])
def test_a_film_of_a_training_begins_again_at_its_end(tiny_config: Tiny, name: str) -> None:
    run = made_run(tiny_config())
    paths = sorted((run / "checkpoints").glob("iter_*.pt"))
    frames = [training_frame(open_trained(path), 2, 3, 0) for path in paths]
    plain = frames[0].crop((0, 0, frames[0].width, frames[0].height - 2 * (312 // 22)))
    assert plain.size == (3 * (3 * 34 + 2), 3 * (2 * 34 + 2))  # three times as large as a grid
    captions = [np.array(frame)[plain.height :] for frame in frames]
    assert captions[0].min() < 100  # something is written there
    assert not np.array_equal(*captions)
    write_film(Path(name), frames, training_durations(2))
    film = Image.open(name)
    assert (film.size, film.n_frames, film.info["loop"]) == (frames[0].size, 2, 0)
    film.seek(1)
    film.load()
    assert film.info["duration"] == training_durations(2)[1]
