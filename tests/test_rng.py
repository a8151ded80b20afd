from functools import partial

import pytest
import torch

from rgan_bench import rng
from rgan_bench.rng import default_generator_from, draw_batches, draw_distinct, stream, stream_seed


def test_equal_keys_equal_draws_and_other_keys_others() -> None:
    first = torch.randn(8, generator=stream(1, "train/latent", 7))
    assert torch.equal(first, torch.randn(8, generator=stream(1, "train/latent", 7)))
    for key in [(0, "train/latent", 7), (1, "train/real", 7), (1, "train/latent", 8), (1, "train/latent", 0)]:
        assert not torch.equal(first, torch.randn(8, generator=stream(*key)))


def test_no_two_keys_run_together() -> None:
    keys = [(seed, name, i) for seed in (0, 1, 11) for name in ("a", "a/1", "b") for i in (0, 1, 10, 11)]
    assert len({stream_seed(*key) for key in keys}) == len(keys)


def test_values_are_pinned() -> None:
    """A change here changes every run of every user: it must be meant."""
    assert stream_seed(1, "train/latent", 0) == 5519427118280556813
    assert draw_distinct(4, 1000, stream(1, "x")).tolist() == [458, 361, 420, 709]


@pytest.mark.parametrize(("count", "population"), [(1, 1), (5, 5), (32, 40), (32, 50_000), (8, 64), (8, 63)])
def test_draws_are_distinct_and_in_range(count: int, population: int) -> None:
    for index in range(200):
        drawn = draw_distinct(count, population, stream(0, "t", index))
        assert drawn.shape == (count,)
        assert len(set(drawn.tolist())) == count
        assert drawn.min() >= 0
        assert drawn.max() < population


@pytest.mark.parametrize("population", [6, 9])  # both ways of drawing: by permutation, and by drawing again
def test_every_ordered_choice_is_equally_likely(population: int) -> None:
    generator = stream(0, "uniform")
    counts = torch.zeros(population, population)
    draws = 20_000
    for _ in range(draws):
        a, b = draw_distinct(2 if population == 9 else 3, population, generator)[:2].tolist()
        counts[a, b] += 1
    expected = draws / (population * (population - 1))
    off_diagonal = counts[~torch.eye(population, dtype=torch.bool)]
    assert not counts.diagonal().any()
    chi_squared = ((off_diagonal - expected).square() / expected).sum().item()
    degrees = population * (population - 1) - 1
    assert chi_squared < degrees + 5 * (2 * degrees) ** 0.5


def test_too_many_are_refused() -> None:
    for draw in (draw_distinct, partial(draw_batches, 1)):
        with pytest.raises(ValueError, match="cannot draw 3 distinct indices from 2"):
            draw(3, 2, stream(0, "t"))


@pytest.mark.parametrize("population", [64, 301, 9_999, 50_000])
def test_batches_begin_as_torchs_permutations(population: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """If another torch permutes otherwise, this fails: then runs of before would draw other images."""
    monkeypatch.setattr(rng, "WORTH_IT", 1.1)  # so that places are used three times and more
    for seed in range(30):
        for count in (9 + seed, 224, 225 + seed, 1024):
            if count < population:
                found = draw_batches(3, count, population, stream(seed, "t"))
                generator = stream(seed, "t")
                wanted = torch.stack([draw_distinct(count, population, generator) for _ in range(3)])
                assert torch.equal(found, wanted), (seed, count)
                if count**2 > population:
                    assert torch.equal(found[0], torch.randperm(population, generator=stream(seed, "t"))[:count])


def test_the_global_generator_comes_back_as_it_was() -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    with default_generator_from(1, "x"):
        first = torch.rand(2)
    assert torch.equal(before, torch.random.get_rng_state())
    with default_generator_from(1, "x"):
        assert torch.equal(first, torch.rand(2))
