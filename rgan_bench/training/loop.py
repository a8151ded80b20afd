"""The training loop: iterations, and nothing else. It yields after each; what to make of that is the caller's."""

from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from rgan_bench import ranks
from rgan_bench.config.schema import Config
from rgan_bench.data.dataset import ImageDataset
from rgan_bench.gan.losses import Loss, loss_of
from rgan_bench.gan.networks.fewer import count_batches
from rgan_bench.gan.steps import Metrics, average_step, discriminator_step, generator_step, pack
from rgan_bench.training.accelerate import Accelerator, Iteration
from rgan_bench.training.draws import draws
from rgan_bench.training.precision import computing_in
from rgan_bench.training.schedules import Dials
from rgan_bench.training.state import TrainState


def train(
    state: TrainState, data: ImageDataset, config: Config, accelerator: Accelerator | None = None
) -> Iterator[Metrics]:
    """Runs from `state.iteration` to `train.iterations`; yields, after each iteration, what its steps measured.

    What it yields may be overwritten by the next iteration.

    Args:
        state: is advanced in place.
        data: on the device of the networks.
        accelerator: None: the iteration runs as it is.
    """
    loss = loss_of(config.loss)
    dials = Dials(config, state)
    iterate = make_iteration(state, loss, data, config, dials)
    real_batches = config.optim.n_d + loss.needs_real_for_generator
    prepared = False
    batch = (config.train.batch_size, data.images.shape[1] * config.arch.pac, *data.images.shape[2:])
    noise = dict.fromkeys(loss.penalty.noise, (config.optim.n_d, *batch))
    for drawn in draws(config, len(data), real_batches, state.iteration, data.images.device, noise):
        dials.set(state.iteration)
        if accelerator is not None and not prepared:
            iterate = accelerator.prepare(iterate, state.tensors, (state.generator, state.discriminator), drawn)
            prepared = True
        measured = iterate(*drawn)
        state.iteration += 1
        yield measured


def make_iteration(
    state: TrainState, loss: Loss, data: ImageDataset, config: Config, dials: Dials | None = None
) -> Iteration:
    """One iteration as a function of its random numbers: (indices, z, u, …), as `draws` gives them.

    It is n_d discriminator steps, each with fresh reals and latents, then one generator step with fresh latents, and
    fresh reals where the loss looks at them (arXiv 1807.00734, section 6 and the author's scripts).
    """
    n_d, pac = config.optim.n_d, config.arch.pac
    dials = dials or Dials(config, state)
    state = computing_in(state, config.precision)

    def real(indices: Tensor) -> Tensor:
        return pack(data.batch(indices, state.memory_format), pac)

    def iterate(indices: Tensor, z: Tensor, u: Tensor, *noise: Tensor) -> Metrics:
        with ranks.sharing():
            packed, single = ranks.rows(z.shape[1]), ranks.rows(u.shape[1])
            return steps(indices[:, packed], z[:, packed], u[:, single], *(each[:, single] for each in noise))

    def steps(indices: Tensor, z: Tensor, u: Tensor, *noise: Tensor) -> Metrics:
        now = loss
        if dials.penalty_weight is not None:
            now = replace(loss, penalty=loss.penalty.weighing(dials.penalty_weight))
        for k in range(n_d):
            shifts = {name: each[k] for name, each in zip(loss.penalty.noise, noise, strict=True)}
            measured = discriminator_step(state, now, real(indices[k]), z[k], u[k], shifts)
        fresh = real(indices[n_d]) if loss.needs_real_for_generator else None
        measured = measured | generator_step(state, loss, fresh, z[n_d])
        count_batches(state.generator, state.discriminator)
        if state.ema is not None:
            average_step(state, dials.ema_weight)
        return measured

    return iterate
