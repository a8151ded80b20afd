"""Device names of the config → torch devices."""

import contextlib
import ctypes
import os
import platform
import sys
from pathlib import Path

import torch

from rgan_bench.console import say
from rgan_bench.errors import UserError
from rgan_bench.locks import cluster_job


def resolve_device(name: str) -> torch.device:
    """auto (a GPU where there is one), cpu, cuda or cuda:N.

    Raises:
        UserError: it is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        if cluster_job():
            say(
                f"warning: device=auto: Slurm's job {cluster_job()} has no GPU that PyTorch {torch.__version__} can "
                "use, so this runs on the CPU; ask for one (hydra.launcher.gpus_per_node=1), or say device=cpu"
            )
        return torch.device("cpu")
    device = torch.device(name)
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise UserError(f"device={name}: PyTorch {torch.__version__} finds no CUDA device here; use device=cpu")
        if device.index is not None and device.index >= torch.cuda.device_count():
            raise UserError(f"device={name}: there are {torch.cuda.device_count()} CUDA devices here, from cuda:0 on")
        if device.index is not None:  # streams and captures are the current device's, whatever their tensors lie on
            torch.cuda.set_device(device)
    return device


def device_title(device: torch.device) -> str:
    """What it is, for people and for result.json."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"CPU ({processor()}, {torch.backends.cpu.get_cpu_capability()}, {threads} thread{'s' * (threads != 1)})"


def processor() -> str:
    """Its model, where Linux tells it; the kind decides bits and speed."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, model = line.partition(":")
            if key.strip() == "model name" and model.strip():
                return model.strip()
    return platform.machine()


def set_numerics(deterministic: bool, precision: str = "tf32") -> None:
    """Deterministic: the same bits each time on the same device, at a price, and no TF32. Else PyTorch's defaults, TF32
    in convolutions among them, unless precision is float32.

    Must come before the first CUDA work of the process to be sure of cuBLAS.
    """
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic  # shapes never change: the fastest algorithms are worth a search
    torch.backends.cudnn.allow_tf32 = not deterministic and precision != "float32"
    torch.backends.cuda.matmul.allow_tf32 = False  # whatever the environment says


def keep_freed_memory() -> None:
    """Has the C library keep what is freed for what is allocated next, instead of giving it back to the kernel.

    Activations of many megabytes come and go with every forward pass; getting their pages anew each time costs as much
    as computing on them (extractors run twice as fast without). For processes that compute on the CPU; Linux with
    glibc, elsewhere nothing happens.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            library = ctypes.CDLL(None)
            trim_threshold, mmap_threshold = -1, -3  # names of mallopt's parameters, from malloc.h
            library.mallopt(mmap_threshold, 1 << 30)
            library.mallopt(trim_threshold, (1 << 31) - 1)
