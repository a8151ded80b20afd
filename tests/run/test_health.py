import math

import pytest
import torch
from torch import nn

from rgan_bench.run.health import not_finite, pairwise_sd
from rgan_bench.run.tolerated import Tolerated


def test_values_and_weights_that_are_not_finite_are_named() -> None:
    networks = {"generator": nn.Linear(2, 2), "discriminator": nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))}
    assert not_finite({"loss": 1.0, "norm": 1e38}, networks) == []
    with torch.no_grad():
        networks["discriminator"][1].bias[1] = math.nan
    assert not_finite({"loss": math.inf, "norm": math.nan}, networks) == ["loss", "norm", "weights/discriminator"]
    with torch.no_grad():
        networks["discriminator"][1].bias[1] = 3e38  # large, and finite, though its square is not
    assert not_finite({}, networks) == []


def test_independent_pixels_give_their_standard_deviation() -> None:
    images = torch.randint(0, 256, (16, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    assert pairwise_sd(images) == pytest.approx(math.sqrt((256**2 - 1) / 12) / 255, rel=0.01)


def test_equal_images_do_not_vary_and_two_sorts_do() -> None:
    black, white = torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.full((4, 3, 8, 8), 255, dtype=torch.uint8)
    assert pairwise_sd(black) == pairwise_sd(white) == 0
    # 16 of the 28 pairs are unequal; two values 0 and 1 differ by 1, over √2.
    assert pairwise_sd(torch.cat([black, white])) == pytest.approx(16 / 28 / math.sqrt(2))


def test_what_fails_is_said_once_for_each_part() -> None:
    said: list[str] = []
    tolerated = Tolerated(said.append)
    for part in ("one", "two", "one"):
        with tolerated.failing(part):
            raise OSError("no\nspace")
    with tolerated.failing("three"):
        pass
    assert [text.split(":")[1] for text in said] == [" one", " two"]
    assert "failed (no space); training goes on" in said[0]
    with pytest.raises(KeyboardInterrupt), tolerated.failing("four"):
        raise KeyboardInterrupt
