"""What precision=bfloat16 means: within an iteration, convolutions and linear layers of the networks compute in it.

All else is in float32: weights, gradients and moments as they are kept, spectral norm, the statistics of batch norm,
logits and images as losses and penalties see them. Whoever has a network from elsewhere (sampling, scores, checkpoints)
sees the one that there always was.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from rgan_bench.training.state import TrainState

# Names of CPU features under torch.cpu.get_capabilities(): those of x86, and that of ARM.
FAST_ON_CPU = ("avx512_bf16", "amx_bf16", "bf16")


def computing_in(state: TrainState, precision: str) -> TrainState:
    """A state for the steps of an iteration: the same tensors and optimizers, its networks computing so."""
    if precision != "bfloat16":
        return state
    return replace(state, generator=InBfloat16(state.generator), discriminator=InBfloat16(state.discriminator))


class InBfloat16(nn.Module):
    """A network under autocast, which takes and gives float32. Its attributes are the network's."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *given: Tensor) -> Any:
        """What the network makes of them: a tensor, or of several batches one each."""
        # Its end forgets the weights that were cast: the next pass may see others.
        with torch.autocast(given[0].device.type, torch.bfloat16):
            found = self.network(*given)
        return found.float() if isinstance(found, Tensor) else [each.float() for each in found]

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("network"), name)


def hindrance(precision: str, device: torch.device) -> str | None:
    """Why a device is slower in it than in float32; None: it is not, or that is not known."""
    if precision != "bfloat16":
        return None
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        return None if fast else f"{torch.cuda.get_device_name(device)} has no arithmetic of it (Ampere and later have)"
    told: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # younger than some versions of torch
    fast = not told or any(told.get(name) for name in FAST_ON_CPU)
    return None if fast else "this CPU has no instructions for it (AVX512-BF16, AMX)"
