"""Several ranks compute what one device does, in float64."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rgan_bench import ranks
from rgan_bench.config.validate import group_options
from tests.training.ranks_worker import trained

ROOT = Path(__file__).resolve().parent.parent.parent
POINTS = ["data=ring8", "data.num_images=200", "arch.width=8", "train.batch_size=12", "train.iterations=3"]
IMAGES = ["data=demo", "data.num_images=60", "arch.width=2", "train.batch_size=6", "train.iterations=2"]
CASES = {
    **{
        f"loss={loss}": [*POINTS, f"loss={loss}", "arch.batch_norm=generator"]
        for loss in group_options("loss")
        if loss != "spectral_sgan"
    },
    **{f"penalty={penalty}": [*POINTS, "loss=rasgan", f"loss.penalty={penalty}"] for penalty in (
        "lp", "zero_gp", "maxgp", "magan", "dragan", "r1", "r2", "ar1r2", "lecam", "[r1,lecam]"
    )},
    "average and schedules": [*POINTS, "ema.half_life=20", "schedule.lr.to=1e-5", "schedule.lr.end=3", "optim.n_d=2"],
    "batch norm in both": [*IMAGES, "arch.batch_norm=both", "arch.spectral_norm=false", "loss=rasgan_gp"],
    "stacks and two steps": [*IMAGES, "arch.pac=2", "optim.n_d=2", "loss=wgangp"],
    "spectral norm": [*IMAGES, "data.flip=true", "loss=rsgan_r1r2"],
}  # fmt: skip


def run_ranks(count: int, script: Path, *arguments: str) -> list[int]:
    """Starts a rank each and waits; their exit statuses."""
    world = {"WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, ranks.STORE: Path("store").absolute(), "PYTHONPATH": ROOT}
    shared = {**os.environ, **{name: str(value) for name, value in world.items()}}
    started = [
        subprocess.Popen([sys.executable, str(script), *arguments], env=shared | {"RANK": str(number)})
        for number in range(count)
    ]
    return [process.wait(timeout=300) for process in started]


@pytest.mark.parametrize("count", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_ranks_compute_what_one_device_does(count: int, tmp_path: Path) -> None:
    (tmp_path / "cases.json").write_text(json.dumps(CASES))
    worker = Path(__file__).with_name("ranks_worker.py")
    assert run_ranks(count, worker, str(tmp_path / "cases.json"), str(tmp_path / "found.pt")) == [0] * count
    found = torch.load(tmp_path / "found.pt", weights_only=True)
    for name, overrides in CASES.items():
        for key, wanted in trained(overrides).items():
            torch.testing.assert_close(
                found[name][key],
                wanted,
                rtol=1e-7,
                atol=1e-7,
                msg=lambda text: f"{name}, {key}: {text}",  # noqa: B023
            )
