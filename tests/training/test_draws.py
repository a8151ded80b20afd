import torch

from rgan_bench.training.draws import BLOCK, draw, draws

CPU = torch.device("cpu")


def test_where_a_run_starts_changes_nothing(tiny_config: object) -> None:
    config = tiny_config("optim.n_d=2", f"train.iterations={BLOCK + 5}")
    whole = list(draws(config, 200, 3, 0, CPU))
    assert len(whole) == BLOCK + 5
    for start in (1, 7, BLOCK, BLOCK + 4):
        rest = list(draws(config, 200, 3, start, CPU))
        assert len(rest) == len(whole) - start
        for one, two in zip(rest, whole[start:], strict=True):
            assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    for a, b in zip(whole[BLOCK], draw(config, 200, 3, BLOCK), strict=True):
        assert torch.equal(a, b)


def test_shapes(tiny_config: object) -> None:
    config = tiny_config("optim.n_d=2", "arch.pac=3", "train.batch_size=4", "arch.latent_dim=5")
    indices, z, u = next(draws(config, 200, 2, 0, CPU))
    assert indices.shape == (2, 12)
    assert z.shape == (3, 12, 5)
    assert u.shape == (2, 4, 1, 1, 1)
    assert all(len(set(batch)) == 12 for batch in indices.tolist())
    assert len({tuple(batch) for batch in indices.tolist()}) == 2
    assert 0 <= u.min() <= u.max() <= 1


def test_an_iterations_draws_lie_alike_in_memory_wherever_the_run_was_resumed(tiny_config: object) -> None:
    """Kernels choose by alignment. With 5 latent dimensions views into a block lie at 20, 40, … bytes into a line, and
    a run from 5 to 16 had other bits than one from 0."""
    config = tiny_config("arch.latent_dim=5", "train.batch_size=3", "train.iterations=16")
    for start in (0, 5):
        for parts in draws(config, 200, 2, start, CPU):
            assert all(part.data_ptr() % 64 == 0 for part in parts)


def test_flips_are_keyed_by_iteration_and_change_nothing_else(tiny_config: object) -> None:
    config = tiny_config("optim.n_d=2", "train.iterations=8", "data.flip=true")
    plain = list(draws(tiny_config("optim.n_d=2", "train.iterations=8"), 200, 3, 0, CPU))
    whole = list(draws(config, 200, 3, 0, CPU))
    for (indices, *others), (unflipped, *same) in zip(whole, plain, strict=True):
        assert torch.equal(indices % 200, unflipped)
        assert all(torch.equal(a, b) for a, b in zip(others, same, strict=True))
    sides = torch.stack([indices // 200 for indices, _, _ in whole]).float()
    assert set(sides.unique().tolist()) == {0.0, 1.0}
    assert 0.3 < sides.mean() < 0.7
    for one, two in zip(draws(config, 200, 3, 5, CPU), whole[5:], strict=True):
        assert torch.equal(one[0], two[0])
