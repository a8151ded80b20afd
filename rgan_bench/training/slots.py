"""Who is on which GPU. A process that computes on one holds a slot of it: a locked file, which goes with the process.

Slots lie in the machine's folder for temporary files, in one folder for each user. They are named after the GPU itself:
CUDA_VISIBLE_DEVICES numbers GPUs anew in each process.
"""

import contextlib
import gc
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from rgan_bench import ranks
from rgan_bench.errors import UserError, one_line
from rgan_bench.locks import Busy, fcntl, held, is_held
from rgan_bench.training.devices import resolve_device

LOOK_EVERY = 1.0  # seconds, while every slot is held
FOLDER = "rgan_bench_gpus_"  # and the user's number
MPS_PIPES = "/tmp/nvidia-mps"  # where NVIDIA MPS listens, if CUDA_MPS_PIPE_DIRECTORY does not say otherwise

Say = Callable[[str], None]


@contextlib.contextmanager
def slot(device: str, limit: int | None = None, say: Say = lambda text: None) -> Iterator[None]:
    """Within the block this process holds a slot of the GPU that a device's name means, which is the current one then.

    auto means, of those that are visible, one with the fewest slots held. One of several ranks has its GPU already.
    Without a GPU nothing happens.

    Args:
        device: auto, cpu, cuda or cuda:N.
        limit: so many slots a GPU has; while all are held, this waits. None: as many as are wanted.

    Raises:
        UserError: there is no such device; there is a limit, and slots cannot be kept.
    """
    if device == "cpu" or fcntl is None or not torch.cuda.is_available():
        yield
        return
    resolve_device(device)
    current, alone = torch.cuda.current_device(), ranks.world().count == 1
    among = list(range(torch.cuda.device_count())) if device == "auto" and alone else [current]
    with contextlib.ExitStack() as holding:
        try:
            torch.cuda.set_device(_take(among, limit, f"device={device}", say, holding))
        except OSError as error:
            if limit is not None:
                raise UserError(
                    f"cells_per_gpu={limit}: nobody can count cells where slots cannot be kept ({one_line(error)}); "
                    "set TMPDIR to a folder of this machine that you can write to, or cells_per_gpu=null"
                ) from error
            say(f"warning: device={device}: other cells do not see this one, slots cannot be kept ({one_line(error)})")
        yield
        gc.collect()  # the process may live on, and its memory is for the next one here
        torch.cuda.empty_cache()


@contextlib.contextmanager
def capturing() -> Iterator[None]:
    """Within the block no other process of this user is in such a block on the current GPU: cuDNN measures there which
    of its algorithms are the fastest. Ranks, which wait for each other, do not wait for it."""
    with contextlib.ExitStack() as holding:
        if fcntl is not None and ranks.world().count == 1:
            with contextlib.suppress(OSError):
                name = names()[torch.cuda.current_device()]
                holding.enter_context(held(_folder() / f"{name}.capturing", wait=True))
        yield


def names() -> list[str]:
    """Of each visible GPU, by its number here, what it is called in all processes of the machine: its UUID. Where that
    may not tell it from others (slices of a GPU, drivers without UUIDs), also what CUDA_VISIBLE_DEVICES calls it."""
    asked = [each.strip() for each in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    uuids = [str(torch.cuda.get_device_properties(index).uuid) for index in range(torch.cuda.device_count())]
    found = []
    for index, uuid in enumerate(uuids):
        called = asked[index] if index < len(asked) and asked[index] else str(index)
        enough = uuids.count(uuid) == 1 and not called.startswith("MIG")
        found.append(uuid if enough else f"{uuid}_{called.replace('/', '_')}")
    return found


def _take(among: list[int], limit: int | None, device: str, say: Say, holding: contextlib.ExitStack) -> int:
    """Has `holding` hold a slot of that one of these GPUs of which the fewest are held; gives its number.

    Raises:
        OSError: slots cannot be kept.
    """
    current, gpus, place, waits = torch.cuda.current_device(), names(), _folder(), False
    while True:
        with held(place / "choosing", say, wait=True):  # so that of several at once each sees those before it
            holders = {index: _holders(gpus[index]) for index in among}
            chosen = min(among, key=lambda index: (len(holders[index]), index != current))
            if limit is None or len(holders[chosen]) < limit:
                for number in itertools.count():
                    with contextlib.suppress(Busy):
                        holding.enter_context(held(place / f"{gpus[chosen]}.{number}", say))
                        break
                break
        if not waits:
            others = ", ".join(itertools.chain(*holders.values()))
            say(f"{device}: waiting, there are cells_per_gpu={limit} or more on each GPU ({others}); Ctrl-C leaves")
        waits = True
        time.sleep(LOOK_EVERY)
    pipes = os.environ.get("CUDA_MPS_PIPE_DIRECTORY") or MPS_PIPES
    if len(holders[chosen]) == 1 and not Path(pipes, "control").exists():  # the second one says it, and no further one
        say(
            f"{device}: cuda:{chosen} is shared with {holders[chosen][0]}; runs that start after NVIDIA MPS "
            "(scripts/mps.sh start) compute there at the same time, others in turn"
        )
    return chosen


def _holders(gpu: str) -> list[str]:
    """The processes that hold slots of a GPU, this user's and others'."""
    paths = sorted(Path(tempfile.gettempdir()).glob(f"{FOLDER}*/{gpu}.[0-9]*"))
    return [path.read_text().strip() or "another process" for path in paths if path.is_file() and is_held(path)]


def _folder() -> Path:
    """
    Raises:
        OSError: it cannot be made; somebody else has made it, whose links could have us write anywhere.
    """
    path = Path(tempfile.gettempdir()) / f"{FOLDER}{os.getuid()}"
    path.mkdir(mode=0o755, exist_ok=True)
    if path.is_symlink() or path.stat().st_uid != os.getuid():
        raise PermissionError(f"{path} is another user's")
    return path
