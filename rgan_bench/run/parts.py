"""What a run is made of, built from its config. Loads and checks everything that can fail, and writes nothing."""

from dataclasses import dataclass

import torch

from rgan_bench.config.schema import Config
from rgan_bench.console import say
from rgan_bench.data.dataset import ImageDataset
from rgan_bench.data.load import load_data
from rgan_bench.errors import UserError
from rgan_bench.scoring.points import make_scorer
from rgan_bench.scoring.scorer import Scorer
from rgan_bench.training.accelerate import Accelerator
from rgan_bench.training.devices import keep_freed_memory, resolve_device, set_numerics
from rgan_bench.training.memory import check_memory
from rgan_bench.training.precision import hindrance
from rgan_bench.training.state import TrainState


@dataclass(frozen=True)
class Parts:
    """
    Attributes:
        data: on the device.
        scorer: None: the run is never scored.
    """

    device: torch.device
    data: ImageDataset
    scorer: Scorer | None
    accelerator: Accelerator
    state: TrainState

    @classmethod
    def of(cls, config: Config) -> "Parts":
        """
        Raises:
            UserError: something is wrong with the input.
        """
        device = resolve_device(config.device)
        set_numerics(config.deterministic, config.precision)
        if slower := hindrance(config.precision, device):
            say(f"precision={config.precision}: {slower}, so that it is slower here than float32")
        if device.type == "cpu" and config.accelerate != "none":
            keep_freed_memory()
        check_memory(config, device)
        data = load_data(config.data, config.limits, config.fid.cache_dir)
        check_batch(config, len(data))
        data = data.to(device)
        scorer = make_scorer(config.fid, data, device, say) if config.fid.every else None
        accelerator = Accelerator(config.accelerate, device, say)
        state = TrainState.new(config, device, **accelerator.of_state)
        return cls(device, data, scorer, accelerator, state)


def check_batch(config: Config, images: int) -> None:
    """
    Raises:
        UserError: a batch cannot be drawn from so few images.
    """
    needed = config.train.batch_size * config.arch.pac
    if needed > images:
        stacks = f" in stacks of arch.pac={config.arch.pac}" if config.arch.pac > 1 else ""
        raise UserError(
            f"train.batch_size={config.train.batch_size}: a batch draws {needed} distinct images{stacks}, "
            f"and the data set has {images} images; set at most {images // config.arch.pac}"
        )
