"""Where a number comes from: versions, commit, machine."""

import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

import rgan_bench
from rgan_bench.training.devices import device_title


def versions(device: torch.device) -> dict[str, Any]:
    return {
        "rgan_bench": rgan_bench.__version__,
        "git_commit": git_commit(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda if device.type == "cuda" else None,
        "device": str(device),
        "device_name": device_title(device),
        "num_threads": torch.get_num_threads(),
    }


@lru_cache
def git_commit() -> str | None:
    """The commit of this package's own checkout, with `-dirty` where files differ; None where it is installed."""
    package = Path(__file__).resolve().parent

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(package), *arguments], capture_output=True, text=True, timeout=10, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    # A package inside somebody's .venv is in that project's repository, but not of it.
    if git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None
    commit = git("rev-parse", "HEAD")
    return f"{commit}-dirty" if commit and git("status", "--porcelain", "--untracked-files=no") else commit
