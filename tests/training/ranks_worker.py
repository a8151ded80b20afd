"""A rank: trains each config in float64 and, as rank 0, saves what came out. Arguments: a JSON file of
{name: overrides}, a file to save to."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir

from rgan_bench import ranks
from rgan_bench.config.validate import config_dir, validate
from rgan_bench.data.load import load_data
from rgan_bench.gan.losses import loss_of
from rgan_bench.training.draws import draws
from rgan_bench.training.loop import make_iteration
from rgan_bench.training.schedules import Dials
from rgan_bench.training.state import TrainState


@dataclass
class Float64:
    """A data set whose batches are float64."""

    data: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.data, name)

    def __len__(self) -> int:
        return len(self.data)

    def batch(self, indices: torch.Tensor, layout: torch.memory_format) -> torch.Tensor:
        return self.data.batch(indices, layout).double()


def trained(overrides: list[str]) -> dict[str, torch.Tensor]:
    """Every tensor that training changes, and what the last iteration measured."""
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config = validate(compose("config", overrides=overrides))
    data = Float64(load_data(config.data, config.limits))
    device = torch.device("cpu")
    state = TrainState.new(config, device, plain=True)
    for network in (*state.generators().values(), state.discriminator):
        network.double()
    state.memory = {name: kept.double() for name, kept in state.memory.items()}
    loss = loss_of(config.loss)
    dials = Dials(config, state)
    iterate = make_iteration(state, loss, data, config, dials)  # type: ignore[arg-type]
    batch = (config.train.batch_size, data.images.shape[1] * config.arch.pac, *data.images.shape[2:])
    noise = dict.fromkeys(loss.penalty.noise, (config.optim.n_d, *batch))
    real_batches = config.optim.n_d + loss.needs_real_for_generator
    for indices, *numbers in draws(config, len(data), real_batches, 0, device, noise):
        dials.set(state.iteration)
        measured = iterate(indices, *(each.double() for each in numbers))
        state.iteration += 1
    found = {f"measured/{name}": value.clone() for name, value in measured.items()}
    for name, network in {**state.generators(), "discriminator": state.discriminator}.items():
        found |= {f"{name}/{key}": value.clone() for key, value in network.state_dict().items()}
    return found | {f"memory/{name}": kept.clone() for name, kept in state.memory.items()}


def main() -> None:
    torch.set_num_threads(1)
    ranks.join()
    cases = json.loads(Path(sys.argv[1]).read_text())
    found = {name: trained(overrides) for name, overrides in cases.items()}
    if ranks.first():
        torch.save(found, sys.argv[2])
    ranks.leave()


if __name__ == "__main__":
    main()
