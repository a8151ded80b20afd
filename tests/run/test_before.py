"""A run folder of before the code was moved and its parts were named anew is found, read, and continued."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import torch

from rgan_bench import load_generator
from rgan_bench.cli import fid, table
from rgan_bench.cli import train as cli
from scripts.crash_test import metrics
from tests.conftest import GOLDEN

NAME = "demo_cnn32_rasgan_gp_9b84a4a0_seed1"
SETTINGS = [
    "loss=rasgan_gp", "data=demo", "data.num_images=200", "arch.width=2", "arch.latent_dim=4", "train.batch_size=4",
    "train.log_every=1", "train.sample_every=null", "train.checkpoint_every=null", "fid.features=[pixels]",
    "fid.num_samples=200", "fid.batch_size=50", "fid.every=4", "device=cpu",
]  # fmt: skip


def test_a_run_of_0_1_0_is_continued(run_command: Callable[..., tuple[int, str, str]]) -> None:
    """Bit for bit on the machine that made it; others' convolutions may round otherwise."""
    with zipfile.ZipFile(GOLDEN / "run_0.1.0.zip") as archive:
        archive.extractall()
    Path("outputs").mkdir()
    Path(NAME).rename(Path("outputs") / NAME)
    assert run_command(cli.main, *SETTINGS, "train.iterations=4")[1].count("already finished at 4") == 1
    assert run_command(table.main, "outputs", "--table", "sweep")[0] == 0
    assert run_command(fid.main, f"outputs/{NAME}")[0] == 0
    status, out, err = run_command(cli.main, *SETTINGS, "train.iterations=8")
    assert status == 0, err
    assert "from iteration 4 to iteration 8" in out
    assert [path.name for path in Path("outputs").iterdir()] == [NAME]
    found, wanted = (
        torch.load(path / "last.pt", weights_only=True) for path in (Path(f"outputs/{NAME}/checkpoints"), Path("after"))
    )
    for part in ("generator", "discriminator"):
        assert found[part].keys() == wanted[part].keys()
        for key, tensor in wanted[part].items():
            torch.testing.assert_close(found[part][key], tensor, rtol=1e-3, atol=1e-4)
    assert len(metrics(Path("outputs") / NAME)) == len((Path("after") / "metrics.jsonl").read_text().splitlines()) == 8
    assert load_generator(f"outputs/{NAME}")(torch.zeros(2, 4)).shape == (2, 3, 32, 32)
