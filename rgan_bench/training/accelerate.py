"""Makes an iteration faster, and keeps its signature and its results. Knows nothing of GANs.

The plain way stays the reference (`accelerate=none`): eager, contiguous tensors, Adam one tensor at a time. Everything
else is compared with it by tests.
"""

import gc
import re
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rgan_bench import ranks
from rgan_bench.errors import UserError, one_line
from rgan_bench.training.convolutions import weight_gradients_as_products
from rgan_bench.training.slots import capturing

Iteration = Callable[..., Any]  # tensors of fixed shapes → what it measured, and its state advanced in place

# Adam says so in the warm-up, which is not captured.
warnings.filterwarnings("ignore", message="This instance was constructed with capturable=True")

_streams: dict[int, torch.cuda.Stream] = {}  # device → the one beside the current one: libraries keep memory for each

WARM_UP = 3  # iterations before a capture, in which libraries allocate and choose what must not happen within one


class Accelerator:
    """What a run may use, and what it used.

    Attributes:
        of_state: what TrainState.new is to know: whether layouts and optimizers are to be PyTorch's plain ones, and
            whether networks take fewer kernels.
        ran: none, layout (eager; channels last, fused Adam, with auto on a CPU some gradients as matrix products),
            graphs, or compile (on a GPU captured as well); for result.json.
    """

    def __init__(self, mode: str, device: torch.device, say: Callable[[str], None] = lambda text: None) -> None:
        """
        Args:
            mode: none, layout, graphs, compile or auto: graphs on a GPU, layout elsewhere.

        Raises:
            UserError: graphs without a GPU.
        """
        if mode == "graphs" and device.type != "cuda":
            raise UserError(f"accelerate=graphs: needs a CUDA device, and this is {device}; use accelerate=auto")
        self.mode, self.device, self.say = mode, device, say
        self.ran = mode if mode in ("none", "layout", "compile") else "layout" if device.type != "cuda" else "graphs"
        if mode == "auto" and ranks.world().count > 1:  # nobody has captured an exchange between devices yet
            self.ran = "layout"

        self.of_state = {"plain": mode == "none", "fewer_kernels": self.ran == "graphs"}

    def prepare(
        self,
        iteration: Iteration,
        tensors: Callable[[], list[Tensor]],
        networks: Sequence[nn.Module],
        example: Sequence[Tensor],
    ) -> Iteration:
        """The iteration made faster. Nothing that it holds has changed afterwards.

        Args:
            tensors: everything that an iteration changes; may be more after the first one (Adam's moments).
            networks: for compilation.
            example: inputs of an iteration.

        Raises:
            UserError: what was asked for by name cannot be had.
        """
        if self.ran == "compile":
            for network in networks:
                for module in network.modules():
                    if not getattr(module, "compilable", True):
                        module.forward = torch.compiler.disable(module.forward)
                network.compile()
        if self.mode == "auto" and self.device.type == "cpu":
            return weight_gradients_as_products()(iteration)
        if self.device.type != "cuda" or self.ran not in ("graphs", "compile"):
            return iteration
        try:
            with capturing():
                started = time.perf_counter()
                graphed = Graphed(iteration, tensors, example)
        except RuntimeError as error:
            if self.mode != "auto":
                raise UserError(
                    f"accelerate={self.mode}: the iteration cannot be captured ({causes(error)}); use accelerate=none"
                ) from error
            self.ran = "layout"
            self.say(f"accelerate=auto: no CUDA graph ({causes(error)[:300]}); going on without")
            return iteration
        self.say(f"accelerate={self.mode}: iteration captured as a CUDA graph in {time.perf_counter() - started:.1f} s")
        return graphed


class Graphed:
    """An iteration as one CUDA graph: forward, backward (twice where there is a penalty) and optimizers, one launch.

    Replaces what Python does between the kernels, which at batch 32 takes longer than they do. What it returns is the
    same each time: to be read before the next call.
    """

    def __init__(self, iteration: Iteration, tensors: Callable[[], list[Tensor]], example: Sequence[Tensor]) -> None:
        """Captures on a stream of its own.

        Raises:
            RuntimeError: something in the iteration cannot be captured; everything is then as it was.
        """
        self.inputs = [tensor.clone() for tensor in example]
        before = snapshot(tensors())
        outer, side = torch.cuda.current_stream(), side_stream()
        side.wait_stream(outer)
        try:
            with torch.cuda.stream(side):
                for _ in range(WARM_UP):
                    iteration(*self.inputs)
            outer.wait_stream(side)
            gc.collect()  # what is freed within a capture ends it
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph, stream=side, capture_error_mode="thread_local"):
                self.measured = iteration(*self.inputs)
        finally:
            torch.cuda.set_stream(outer)  # a capture that fails leaves the thread on its own
            outer.wait_stream(side)
            restore(tensors(), before)

    def __call__(self, *inputs: Tensor) -> Any:
        for held, given in zip(self.inputs, inputs, strict=True):
            held.copy_(given, non_blocking=True)
        self.graph.replay()
        return self.measured


def side_stream() -> torch.cuda.Stream:
    """The same one for each warm-up and capture on the current device."""
    device = torch.cuda.current_device()
    if device not in _streams:
        _streams[device] = torch.cuda.Stream()
    return _streams[device]


def causes(error: BaseException) -> str:
    """The error, and before it what it came from: a capture that fails ends with an error of its own."""
    told = [error]
    while (earlier := told[0].__cause__ or told[0].__context__) is not None:
        told.insert(0, earlier)
    # PyTorch adds advice of several lines.
    return "; then ".join(
        re.split(r" (Search for|CUDA kernel errors|Compile with)", one_line(each))[0] for each in told
    )


def snapshot(tensors: Sequence[Tensor]) -> dict[int, Tensor]:
    """Copies, by the address of what they are copies of."""
    return {id(tensor): tensor.detach().clone() for tensor in tensors}


def restore(tensors: Sequence[Tensor], before: dict[int, Tensor]) -> None:
    """Back, in place, to a snapshot. What has come into being since then starts as zeros, as Adam's moments do."""
    with torch.no_grad():
        for tensor in tensors:
            if id(tensor) in before:
                tensor.copy_(before[id(tensor)])
            else:
                tensor.zero_()
