"""Several processes that train one run together, one a device: its ranks. In a process alone, all of this does nothing.

They compute what one device would: a batch is drawn whole on each rank, which takes its rows; losses see the logits of
all rows; gradients are added up. The rows of other ranks are numbers there, the own ones carry their graph, so that the
sum of all ranks' gradients is the gradient of the whole. Nothing but the statistics of batch norm is exchanged within
autograd.
"""

import contextlib
import datetime
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

PATIENCE = datetime.timedelta(seconds=50)  # that a rank waits for others that compute
LONG = datetime.timedelta(days=7)  # while rank 0 does something alone
STORE = "RGAN_BENCH_STORE"  # in the environment: a file over which ranks on one machine find each other


@dataclass(frozen=True)
class World:
    """
    Attributes:
        number: of this rank, from 0.
        count: of all ranks.
        control: through which the ranks agree, without any device.
    """

    number: int = 0
    count: int = 1
    control: Any = None


_world = World()
_sharing = False


def join() -> World:
    """The ranks that the environment tells of as torchrun sets it (RANK, WORLD_SIZE, MASTER_ADDR, …); with STORE, they
    need listen to nobody outside. Waits for all of them. Without such an environment the process is alone.

    Raises:
        RuntimeError: they cannot be reached.
    """
    global _world
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if _world.count > 1 or count == 1:
        return _world
    number = int(os.environ["RANK"])
    if os.environ.get("LOCAL_WORLD_SIZE") == str(count):  # one machine: nothing need come from outside
        for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
            os.environ.setdefault(name, "lo")
    method = f"file://{os.environ[STORE]}" if STORE in os.environ else "env://"
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", number)))
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, init_method=method, rank=number, world_size=count, timeout=PATIENCE)
    control = dist.new_group(backend="gloo", timeout=LONG)
    _world = World(number, count, control)
    return _world


def leave() -> None:
    """Ends what `join` began."""
    global _world
    if _world.count > 1:
        dist.destroy_process_group()
    _world = World()


def lost(error: BaseException) -> bool:
    """Whether this is how PyTorch says that another rank does not answer."""
    return isinstance(error, dist.DistError) or bool(
        re.search(r"gloo|NCCL|Connection (closed|reset)|connect", str(error))
    )


def world() -> World:
    return _world


def first() -> bool:
    """Whether this is rank 0, which alone holds the run's folder, scores, saves and prints."""
    return _world.number == 0


# --- within an iteration ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def sharing() -> Iterator[None]:
    """Within the block a batch is that of all ranks."""
    global _sharing
    before, _sharing = _sharing, _world.count > 1
    try:
        yield
    finally:
        _sharing = before


def shared() -> bool:
    return _sharing


def rows(count: int) -> slice:
    """Those of this rank, of so many; the number of ranks divides it."""
    size = count // _world.count if _sharing else count
    first = size * _world.number if _sharing else 0
    return slice(first, first + size)


def everywhere(values: Tensor) -> Tensor:
    """The rows [B / ranks, …] of all ranks in order, [B, …]: one's own with their graph, the others' as numbers."""
    if not _sharing:
        return values
    own = values.detach().contiguous()
    parts = [torch.empty_like(own) for _ in range(_world.count)]
    dist.all_gather(parts, own)
    parts[_world.number] = values
    return torch.cat(parts)


def mean(value: Tensor) -> Tensor:
    """The mean of a scalar over the ranks: their number, and one's own share of its graph."""
    if not _sharing:
        return value
    own = value / _world.count
    total = own.detach().clone()
    dist.all_reduce(total)
    return own + (total - own.detach())


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.detach().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return summed(gradient)


def summed(values: Tensor) -> Tensor:
    """The sum over the ranks, for each of them to go on with; can be differentiated any number of times."""
    if not _sharing:
        return values
    total: Tensor = _Sum.apply(values)
    return total


@torch.no_grad()
def add_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Adds up the gradients of all ranks, as one buffer."""
    if not _sharing:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    for gradient, total in zip(gradients, flat.split([each.numel() for each in gradients]), strict=True):
        gradient.copy_(total.view_as(gradient))


class _OverAllRanks(nn.modules.batchnorm._BatchNorm):
    """Batch norm of the whole batch."""

    def forward(self, images: Tensor) -> Tensor:
        if not (_sharing and self.training):
            return super().forward(images)
        given, images = images, images.to(torch.promote_types(images.dtype, torch.float32))
        dims = [0, *range(2, images.dim())]
        shape = [1, -1, *[1] * (images.dim() - 2)]
        count = images.numel() // images.shape[1] * _world.count
        mean = summed(images.sum(dims)) / count
        centered = images - mean.view(shape)
        variance = summed(centered.square().sum(dims)) / count
        if self.track_running_stats:
            self._follow(mean.detach(), variance.detach() * (count / (count - 1)))
        scale = (variance + self.eps).rsqrt()
        if not self.affine:
            return (centered * scale.view(shape)).to(given.dtype)
        return torch.addcmul(self.bias.view(shape), centered, (scale * self.weight).view(shape)).to(given.dtype)

    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        with torch.no_grad():
            assert self.running_mean is not None and self.running_var is not None
            assert self.num_batches_tracked is not None
            self.num_batches_tracked.add_(1)
            weight = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean.to(self.running_mean), weight)
            self.running_var.lerp_(variance.to(self.running_var), weight)


class _BatchNorm1d(_OverAllRanks, nn.BatchNorm1d): ...


class _BatchNorm2d(_OverAllRanks, nn.BatchNorm2d): ...


def normalise_over_all(network: nn.Module) -> None:
    """Has the batch norms of a network, in place, use the statistics of the whole batch where it is shared."""
    kinds: dict[type, type] = {nn.BatchNorm1d: _BatchNorm1d, nn.BatchNorm2d: _BatchNorm2d}
    for module in network.modules():
        if _world.count > 1 and type(module) in kinds:
            module.__class__ = kinds[type(module)]


# --- between iterations -----------------------------------------------------------------------------------------------


def largest(value: int) -> int:
    """Over the ranks; waits for all of them."""
    if _world.count == 1:
        return value
    found = torch.tensor(value)
    dist.all_reduce(found, dist.ReduceOp.MAX, group=_world.control)
    return int(found)


def from_first(value: Any) -> Any:
    """What rank 0 has, on each rank."""
    if _world.count == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0, group=_world.control)
    return box[0]


def same_everywhere(tensors: Iterable[Tensor]) -> None:
    """Overwrites them by those of rank 0."""
    if _world.count > 1:
        with torch.no_grad():
            for tensor in tensors:
                given = tensor.contiguous()
                dist.broadcast(given, src=0)
                tensor.copy_(given)


def gathered(values: Tensor) -> list[Tensor]:
    """Of tensors of one shape, that of each rank, on rank 0; on others none."""
    if _world.count == 1:
        return [values]
    parts = [torch.empty_like(values) for _ in range(_world.count)] if first() else None
    dist.gather(values.contiguous(), parts, dst=0)
    return parts or []
