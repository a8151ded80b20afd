"""A run in words, before it starts."""

import torch

from rgan_bench import ranks
from rgan_bench.config.combinations import as_list
from rgan_bench.config.schema import Config
from rgan_bench.gan.losses import loss_of
from rgan_bench.gan.networks import count_parameters
from rgan_bench.run.folder import RunFolder
from rgan_bench.run.parts import Parts
from rgan_bench.run.space import Space
from rgan_bench.training.devices import device_title


def introduction(config: Config, parts: Parts, folder: RunFolder) -> list[tuple[str, str]]:
    """(name, text) of each line."""
    data, state, device, world = parts.data, parts.state, parts.device, ranks.world()
    loss, arch, optim, train = config.loss, config.arch, config.optim, config.train
    in_words = loss_of(loss).describe()
    weighted = zip(as_list(loss.penalty), as_list(loss.penalty_weight), strict=True)
    penalties = [f"{name} × {weight:g}" for name, weight in weighted if name != "none"]
    penalty = f", penalty {' + '.join(penalties)}" if penalties else ""
    skipped = f", {data.skipped:,} unreadable ones skipped" if data.skipped else ""
    generator, discriminator = (f"{count_parameters(network):,}" for network in (state.generator, state.discriminator))
    networks = f"{arch.name}, width {arch.width}: generator {generator}, discriminator {discriminator} parameters"
    adam = f"Adam, lr {optim.lr:g}, betas ({optim.betas[0]:g}, {optim.betas[1]:g}), n_d {optim.n_d}"
    precision = "" if config.precision == "tf32" else f", in {config.precision}"
    start = f"from iteration {state.iteration:,} " if state.iteration else ""
    training = f"{start}to iteration {train.iterations:,}"
    if state.iteration == train.iterations:
        training = (
            f"none, iteration {state.iteration:,} is reached; scores that are missing there (those of checkpoints on "
            f"the way: rgan-fid {folder.path} --all)"
        )
    return [
        ("data", f"{data.name}: {data.content}{skipped} ({data.source})"),
        ("networks", networks),
        ("loss", f"{loss.name}: {in_words}{penalty}"),
        ("optimizer", f"{adam}, batch {train.batch_size}"),
        (
            "device",
            device_title(device) + which_one(device) + f", on {world.count} devices" * (world.count > 1) + precision,
        ),
        ("run folder", str(folder.path)),
        ("disk", Space.of(config, state).describe()),
        ("training", training),
    ]


def which_one(device: torch.device) -> str:
    """Of several GPUs."""
    several = device.type == "cuda" and torch.cuda.device_count() > 1
    return f", cuda:{torch.cuda.current_device()} of {torch.cuda.device_count()}" if several else ""
