"""The training loop: iterations, and nothing else. It yields after each; what to make of that is the caller's."""

from collections.abc import Iterator

import torch
from torch import Tensor

from rgan_bench.data.dataset import ImageDataset
from rgan_bench.losses import Loss
from rgan_bench.penalties import get_penalty
from rgan_bench.rng import draw_distinct, stream
from rgan_bench.schema import Config
from rgan_bench.state import TrainState
from rgan_bench.steps import Metrics, discriminator_step, generator_step, pack


def train(state: TrainState, data: ImageDataset, config: Config) -> Iterator[Metrics]:
    """Runs from `state.iteration` to `train.iterations`; yields, after each iteration, what its steps measured.

    An iteration is n_d discriminator steps, each with fresh reals and latents, then one generator step with fresh
    latents, and fresh reals where the loss looks at them (arXiv 1807.00734, section 6 and the author's scripts).
    Every draw is keyed by the iteration: a resumed run draws what the uninterrupted one would have drawn.

    Args:
        state: is advanced in place.
        data: on the device of the networks.
    """
    loss = Loss(config.loss.comparison, config.loss.function, config.loss.generator)
    penalty = get_penalty(config.loss.penalty, config.loss.penalty_weight)
    batch_size, n_d, device = config.train.batch_size, config.optim.n_d, data.images.device
    latent_dim, pac = config.arch.latent_dim, config.arch.pac  # a batch of B verdicts takes B·pac reals and B·pac fakes

    def draw_real(generator: torch.Generator) -> Tensor:
        return pack(data.batch(draw_distinct(batch_size * pac, len(data), generator)), pac)

    while state.iteration < config.train.iterations:
        key = state.iteration
        reals = stream(config.seed, "train/real", key)
        z = torch.randn(n_d + 1, batch_size * pac, latent_dim, generator=stream(config.seed, "train/latent", key))
        u = torch.rand(n_d, batch_size, 1, 1, 1, generator=stream(config.seed, "train/penalty", key))
        z, u = z.to(device), u.to(device)

        for k in range(n_d):
            real = draw_real(reals)
            measured = discriminator_step(state, loss, penalty, real, z[k], u[k])
        real = draw_real(reals) if loss.needs_real_for_generator else None
        measured |= generator_step(state, loss, real, z[n_d])

        state.iteration += 1
        yield measured
