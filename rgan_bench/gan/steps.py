"""One discriminator step and one generator step. Randomness comes in as an argument; nothing is printed or saved.

Real and fake go through the discriminator as in separate passes: with batch norm in it that decides the statistics,
with spectral norm the number of power iterations.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from rgan_bench import ranks
from rgan_bench.gan.losses import Loss
from rgan_bench.gan.networks.fewer import logits_of


class Metrics(Mapping[str, Tensor]):
    """Scalars of an iteration by their names, each computed when it is looked at: most never are. To be looked at
    before the next iteration, which overwrites what they are computed from."""

    def __init__(self, found: Mapping[str, Callable[[], Tensor]]) -> None:
        self.found = found

    def __getitem__(self, name: str) -> Tensor:
        with torch.no_grad():
            return self.found[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def __or__(self, other: "Metrics") -> "Metrics":
        return Metrics({**self.found, **other.found})


def discriminator_step(
    state: Any, loss: Loss, real: Tensor, z: Tensor, u: Tensor, noise: dict[str, Tensor] | None = None
) -> Metrics:
    """
    Args:
        state: has `generator`, `discriminator`, `discriminator_optimizer`, and the `memory` of penalties.
        real: packed images [B, 3·pac, H, W] in [−1, 1].
        z: latents [B·pac, latent_dim].
        u: mixing weights of the penalty [B, 1, 1, 1].
        noise: what `loss.penalty.noise` names.
    """
    with torch.no_grad():
        fake = pack(state.generator(z), state.discriminator.pac)
    real, fake = loss.penalty.watch(real, fake)
    real_logits, fake_logits = logits_of(state.discriminator, real, fake, more=loss.penalty.passes)
    logits = {"real": real_logits, "fake": fake_logits}
    real_logits, fake_logits = map(ranks.everywhere, (real_logits, fake_logits))
    value = loss.discriminator(real_logits, fake_logits)
    penalty = loss.penalty(state.discriminator, real, fake, u, logits=logits, noise=noise, memory=state.memory)
    penalised = value + penalty if loss.penalty.each else value
    state.discriminator_optimizer.zero_grad(set_to_none=True)
    # Images that the penalty watches need no gradient of the whole.
    watched = real.requires_grad or fake.requires_grad
    penalised.backward(inputs=list(state.discriminator.parameters()) if watched else None)
    ranks.add_gradients(state.discriminator.parameters())
    state.discriminator_optimizer.step()
    value, penalised, real_logits, fake_logits = (
        each.detach() for each in (value, penalised, real_logits, fake_logits)
    )
    return Metrics(
        {
            "loss/discriminator": lambda: value,
            "loss/penalty": lambda: penalised - value,
            "logits/real": lambda: real_logits.mean(),
            "logits/fake": lambda: fake_logits.mean(),
            "gradient_norm/discriminator": lambda: gradient_norm(state.discriminator),
        }
    )


def generator_step(state: Any, loss: Loss, real: Tensor | None, z: Tensor) -> Metrics:
    """
    Args:
        state: has `generator`, `discriminator` and `generator_optimizer`.
        real: fresh packed images [B, 3·pac, H, W] in [−1, 1]; None where the loss does not look at reals.
        z: fresh latents [B·pac, latent_dim].
    """
    # Fakes first, as in the author's script: each pass is a power iteration of the spectral norm, so that order counts.
    fake = pack(state.generator(z), state.discriminator.pac)
    (fake_logits,) = logits_of(state.discriminator, fake, more=real is not None)
    with torch.no_grad():  # the generator does not reach the logits of reals: no graph is needed
        real_logits = None if real is None else state.discriminator(real)
    if real_logits is not None:
        real_logits = ranks.everywhere(real_logits)
    value = loss.generator(real_logits, ranks.everywhere(fake_logits))
    state.generator_optimizer.zero_grad(set_to_none=True)
    value.backward(inputs=list(state.generator.parameters()))  # spares the discriminator's weight gradients
    ranks.add_gradients(state.generator.parameters())
    state.generator_optimizer.step()
    value = value.detach()
    return Metrics({"loss/generator": lambda: value, "gradient_norm/generator": lambda: gradient_norm(state.generator)})


@torch.no_grad()
def average_step(state: Any, weight: float | Tensor) -> None:
    """The averaged generator, `state.ema`, goes towards `state.generator`; running statistics are taken over.

    Args:
        weight: of the new weights, 1 − β.
    """
    for mean, value in zip(state.ema.parameters(), state.generator.parameters(), strict=True):
        mean.lerp_(value, weight)
    for mean, value in zip(state.ema.buffers(), state.generator.buffers(), strict=True):
        mean.copy_(value)


def pack(images: Tensor, pac: int) -> Tensor:
    """Stacks of `pac` images on their channels: [B·pac, C, H, W] → [B, pac·C, H, W]."""
    if pac == 1:
        return images
    stacked = images.reshape(-1, pac * images.shape[1], *images.shape[2:])
    keeps_layout = images.is_contiguous(memory_format=torch.channels_last)
    return stacked.contiguous(memory_format=torch.channels_last) if keeps_layout else stacked


def gradient_norm(network: nn.Module) -> Tensor:
    """The L2 norm of all gradients of a network together."""
    return get_total_norm([parameter.grad for parameter in network.parameters() if parameter.grad is not None])
