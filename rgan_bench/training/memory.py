"""Whether the networks fit into memory, before any is taken: afterwards the kernel ends the process without a word."""

from pathlib import Path

import torch

from rgan_bench.config.schema import Config
from rgan_bench.errors import UserError, one_line
from rgan_bench.gan.networks import build_networks, count_parameters

COPIES = 4  # weights, gradients, and Adam's two moments, in float32


def check_memory(config: Config, device: torch.device) -> None:
    """
    Raises:
        UserError: the networks alone need more than there is.
    """
    what = f"arch.width={config.arch.width}"
    try:
        with torch.device("meta"):  # shapes only
            generator, discriminator = map(count_parameters, build_networks(config.arch, seed=0))
    except RuntimeError as error:  # sizes that overflow 64 bits
        raise UserError(f"{what}: too large ({one_line(error)[:200]}); choose a smaller one") from error
    parameters = generator + discriminator
    average = generator if config.has_average else 0  # weights alone
    needed, free = 4 * (COPIES * parameters + average), free_bytes(device)
    if free is not None and needed > free:
        others = "their gradients, the average" if average else "their gradients"
        raise UserError(
            f"{what}: {parameters:,} parameters, {others} and Adam's moments take {needed / 2**30:,.1f} GiB "
            f"of memory, and {free / 2**30:,.1f} GiB are free on {device}; choose a smaller one"
        )


def free_bytes(device: torch.device) -> int | None:
    """Memory that may still be taken; None where that is not known."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        (line,) = [line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable:")]
        free = int(line.split()[1]) * 1024
    except (OSError, ValueError):  # not Linux
        return None
    group = Path("/sys/fs/cgroup")  # a container's limit, where there is one
    try:
        return min(free, int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    except (OSError, ValueError):  # none, or "max"
        return free
