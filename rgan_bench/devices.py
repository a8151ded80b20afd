"""Device names of the config → torch devices."""

import platform

import torch

from rgan_bench.errors import UserError


def resolve_device(name: str) -> torch.device:
    """auto (a GPU where there is one), cpu, cuda or cuda:N.

    Raises:
        UserError: it is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise UserError(f"device={name}: PyTorch {torch.__version__} finds no CUDA device here; use device=cpu")
        if device.index is not None and device.index >= torch.cuda.device_count():
            raise UserError(f"device={name}: there are {torch.cuda.device_count()} CUDA devices here, from cuda:0 on")
    return device


def device_title(device: torch.device) -> str:
    """What it is, for people and for result.json."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.machine()}, {torch.get_num_threads()} threads)"
