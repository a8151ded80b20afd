"""Run folders as rgan-train would have left them, and the command that lists them."""

import json
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from rgan_bench.cli import runs as cli
from rgan_bench.config.identity import run_name
from rgan_bench.config.schema import Config
from tests.report.conftest import Make, make, rewrite, rgan_table

__all__ = ["make", "rewrite", "rgan_table"]

NAMES: dict[tuple[str, ...], str] = {}
DEMO = (
    "experiment=table1_stable", "data=demo", "arch.width=16", "optim.lr=4e-4", "fid.features=[pixels]", "fid.every=300",
    "fid.num_samples=300", "train.iterations=60", "output_root=outputs",
)  # fmt: skip


@pytest.fixture
def rgan_runs(run_command: Callable[..., tuple[int, str, str]]) -> Callable[..., tuple[int, str, str]]:
    return partial(run_command, cli.main)


@pytest.fixture
def finished(make: Make, compose_config: Callable[..., Config]) -> Callable[..., Path]:
    """A run in the folder that rgan-train would have named, with checkpoints that are small .zip files."""

    def made(*overrides: str, value: float = 7.0, root: str = "outputs", **more: object) -> Path:
        config = (*DEMO, *overrides)
        folder = make(*config, value=value, features="pixels", weights="none", root=root, **more)
        if config not in NAMES:  # composing takes longer than all the rest
            NAMES[config] = run_name(compose_config(*config))
        folder = folder.rename(folder.parent / NAMES[config])
        (folder / "checkpoints").mkdir()
        (folder / ".lock").touch()
        for name in ("last", "previous", "iter_000020", "iter_000040", "iter_000060"):
            with zipfile.ZipFile(folder / "checkpoints" / f"{name}.pt", "w") as archive:
                archive.writestr("data.pkl", name)
        for iteration in (0, 30, 60):
            (folder / "samples" / f"iter_{iteration:06d}.png").write_bytes(b"a grid")
        lines = [{"iteration": at, "loss/generator": 1 / at, "logits/real": 0.1 * at} for at in range(10, 61, 10)]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return folder

    return made
