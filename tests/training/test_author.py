"""The numbers of the paper's author's own script, from the same weights, reals, latents and mixing weights.

`golden/author_trajectories.json` holds what that script computed in float64, and the inputs as formulas. Losses,
penalties and norms of weights agree to nine digits in all of tables 1 and 2: plainly computed, and as on a CPU.
"""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rgan_bench.config.schema import Config
from rgan_bench.gan.losses import get_loss
from rgan_bench.training import convolutions
from rgan_bench.training.accelerate import Accelerator
from rgan_bench.training.loop import make_iteration
from rgan_bench.training.state import TrainState
from tests.conftest import GOLDEN

AUTHOR = json.loads((GOLDEN / "author_trajectories.json").read_text())
BATCH, ITERATIONS = AUTHOR["inputs"]["batch"], AUTHOR["inputs"]["iterations"]
UNSTABLE = ("arch.spectral_norm=false", "arch.batch_norm=both")
SETTINGS = {
    "sn": (),
    "sn_nd5": ("optim=wgangp",),
    "bn": UNSTABLE,
    "bn_nd5": (*UNSTABLE, "optim=wgangp"),
    "nobn": ("arch.spectral_norm=false", "arch.batch_norm=none", "optim.lr=1e-4"),
    "tanh": (*UNSTABLE, "arch.activation=tanh", "optim.lr=1e-4"),
}
CPU = torch.device("cpu")


def wave(n: int, shape: Any, scale: float, phase: float) -> Tensor:
    k = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return (scale * torch.cos(1.7 * k + 0.3 * phase + 0.01 * k * k / (1 + n))).reshape(shape)


def images() -> Tensor:
    k = torch.arange(64 * 3 * 32 * 32)
    values = (k * k // 7 + 31 * k + 17 * (k // 1024)) % 256
    return ((values.double() / 255 - 0.5) / 0.5).reshape(64, 3, 32, 32)


def fill(network: nn.Module, names: list[str], g: int) -> None:
    parameters = dict(network.named_parameters())
    assert sorted(names) == sorted(parameters)
    with torch.no_grad():
        for n, name in enumerate(names):
            shape, phase = parameters[name].shape, n + 50 * g
            if name.endswith("bias"):
                value = wave(n, shape, 0.01, phase)
            elif len(shape) == 1:
                value = 1 + wave(n, shape, 0.02, phase)
            else:
                value = wave(n, shape, shape[1:].numel() ** -0.5, phase)
            parameters[name].copy_(value)


def start(config: Config, names: dict[str, list[str]], **choices: bool) -> TrainState:
    """The networks in float64 with the weights of the formulas."""
    state = TrainState.new(config, CPU, **choices)
    for g, network in enumerate((state.generator, state.discriminator)):
        fill(network.double(), names[network.__class__.__name__.lower()], g)
    vectors = dict(state.discriminator.named_buffers())
    assert sorted(names["u"]) == sorted(name for name in vectors if name.endswith("._u"))
    for n, name in enumerate(names["u"]):
        vectors[name].copy_(nn.functional.normalize(wave(n, vectors[name].shape, 1, n), dim=0))
    return state


@pytest.mark.parametrize("entry", AUTHOR["trajectories"])
def test_losses_penalties_and_weights_are_the_scripts(
    entry: str, compose_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    setting, name = entry.split("/")
    config = compose_config(f"loss={name}", *SETTINGS[setting], "arch.width=16", f"train.batch_size={BATCH}")
    assert config.loss.penalty == "none" or config.loss.penalty_weight == AUTHOR["inputs"]["penalty_weight"]
    pool, loss, n_d = images(), get_loss(name), config.optim.n_d
    data = SimpleNamespace(batch=lambda indices, layout: pool[indices].contiguous(memory_format=layout))
    wanted, b = AUTHOR["trajectories"][entry], torch.arange(BATCH)
    monkeypatch.setattr(convolutions, "FEWEST_CHANNELS", 1)  # at this width no layer has as many as pay off

    ways = [("none", False), ("auto", False)]
    if config.arch.spectral_norm:
        ways.append(("none", True))  # which is what a GPU gets
    for accelerate, fewer_kernels in ways:
        accelerator = Accelerator(accelerate, CPU)
        names = AUTHOR["parameters"][{"sn_nd5": "sn", "bn_nd5": "bn", "tanh": "bn"}.get(setting, setting)]
        state = start(config, names, **accelerator.of_state | {"fewer_kernels": fewer_kernels})
        iterate = make_iteration(state, loss, data, config)
        found: dict[str, list[float]] = {"loss_discriminator": [], "loss_generator": [], "penalty": []}
        for i in range(ITERATIONS):
            indices = torch.stack([(5 * b + 11 * i + 3 * t) % 64 for t in range(n_d + loss.needs_real_for_generator)])
            z = torch.stack([2**0.5 * wave(3, (BATCH, 128), 1, 7 * i + t) for t in range(n_d + 1)])
            u = torch.stack([(0.37 * b.double() + 0.11 * i + 0.05 * t) % 1 for t in range(n_d)])
            inputs = (indices, z, u.view(n_d, BATCH, 1, 1, 1))
            if i == 0:
                iterate = accelerator.prepare(iterate, state.tensors, (state.generator, state.discriminator), inputs)
            measured = iterate(*inputs)
            found["loss_discriminator"].append(measured["loss/discriminator"].item())
            found["loss_generator"].append(measured["loss/generator"].item())
            found["penalty"].append(measured["loss/penalty"].item())
        norms = {
            f"norm_{kind}": torch.cat([p.detach().flatten() for p in getattr(state, kind).parameters()]).norm().item()
            for kind in ("generator", "discriminator")
        }
        for key, values in (found | norms).items():
            assert values == pytest.approx(wanted[key], rel=1e-9, abs=1e-9), (accelerate, fewer_kernels, key)
