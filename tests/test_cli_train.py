"""rgan-train as a user meets it: what it writes, what it says, how it refuses."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rgan_bench.cli import train as cli
from rgan_bench.errors import UserError
from tests.conftest import TINY

RUN = Path("outputs") / "demo_cnn32_rasgan_"


@pytest.fixture
def rgan_train(run_command: Callable[..., tuple[int, str, str]]) -> Callable[..., tuple[int, str, str]]:
    return partial(run_command, cli.main)


def only_run() -> Path:
    (folder,) = [path for path in Path("outputs").iterdir() if path.name != "multirun"]
    return folder


def result_of(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text())


def metrics_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


# --- one run ----------------------------------------------------------------------------------------------------------


def test_a_run_from_command_to_result(rgan_train: Callable) -> None:
    status, out, err = rgan_train(*TINY, "arch.latent_dim=16")
    assert status == 0
    folder = only_run()
    assert re.fullmatch(r"demo_cnn32_rasgan_[0-9a-f]{8}_seed1", folder.name)

    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert files == [
        ".hydra/config.yaml",
        ".hydra/hydra.yaml",
        ".hydra/overrides.yaml",
        ".lock",
        "checkpoints/iter_000002.pt",
        "checkpoints/iter_000004.pt",
        "checkpoints/last.pt",
        "checkpoints/previous.pt",
        "metrics.jsonl",
        "result.json",
        "samples/iter_000000.png",
        "samples/iter_000002.png",
        "samples/iter_000004.png",
    ]
    assert "arch.latent_dim=16" in (folder / ".hydra" / "overrides.yaml").read_text()

    result = result_of(folder)
    assert (result["status"], result["iteration"]) == ("finished", 4)
    score = result["scores"]["fd_pixels"]
    assert [iteration for iteration, _ in score["history"]] == [0, 2, 4]
    assert score["final"] == {"iteration": 4, "value": score["history"][-1][1]}
    assert score["best"]["value"] == min(value for _, value in score["history"])
    assert result["protocol"]["fd_pixels"]["num_samples"] == 200
    assert result["protocol"]["fd_pixels"]["num_real"] == 200
    assert result["protocol"]["fd_pixels"]["batch_norm"] == "batch"
    assert result["config"]["loss"]["name"] == "rasgan"
    assert result["config"]["arch"]["latent_dim"] == 16
    assert result["config"]["train"]["iterations"] == 4
    assert result["versions"]["torch"] == torch.__version__
    assert result["versions"]["device"] == "cpu"
    assert result["wall_seconds"] > result["training_seconds"] > 0
    assert result["iterations_per_second"] > 0

    metrics = metrics_of(folder)
    assert [entry["iteration"] for entry in metrics] == [1, 2, 3, 4]
    assert set(metrics[1]) - set(metrics[0]) == {"grid/pixel_sd"}
    assert set(metrics[0]) == {
        "iteration",
        "loss/discriminator",
        "loss/generator",
        "loss/penalty",
        "logits/real",
        "logits/fake",
        "gradient_norm/discriminator",
        "gradient_norm/generator",
        "images_per_second",
    }
    assert all(np.isfinite(value) for entry in metrics for value in entry.values())

    with Image.open(folder / "samples" / "iter_000004.png") as grid:
        assert grid.size == (8 * 34 + 2, 8 * 34 + 2)
        assert np.asarray(grid).std() > 1

    checkpoint = torch.load(folder / "checkpoints" / "last.pt", weights_only=True)
    assert checkpoint["iteration"] == 4
    assert checkpoint["config"] == result["config"]

    for shown in ("200 images 32×32", "rasgan: standard function, relativistic average", "CPU", str(folder)):
        assert shown in out
    assert re.search(r"fd_pixels +[\d.]+ untrained → [\d.]+ at iteration 4", out)
    assert str(folder / "samples" / "iter_000004.png") in out
    assert str(folder / "result.json") in out
    assert "iteration 4/4" in err
    assert "\r" not in err  # readable in a file
    assert "Warning" not in err


def test_a_finished_run_says_so_without_importing_torch(rgan_train: Callable) -> None:
    rgan_train(*TINY)
    before = (only_run() / "result.json").read_bytes()
    code = (
        "import sys; from rgan_bench.cli import train; sys.argv[1:] = sys.argv[1:]\n"
        "try: train.main()\nexcept SystemExit as leaving: print(leaving.code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, *TINY], capture_output=True, text=True)
    assert "already finished" in done.stdout
    assert "fd_pixels" in done.stdout
    assert done.stdout.endswith("0 False\n")
    assert (only_run() / "result.json").read_bytes() == before


def same_weights(one: Path, two: Path) -> bool:
    a, b = (torch.load(path / "checkpoints" / "last.pt", weights_only=True) for path in (one, two))
    return all(
        torch.equal(tensor, b[part][key]) for part in ("generator", "discriminator") for key, tensor in a[part].items()
    )


def test_more_iterations_train_on_to_where_one_run_would_have_come(rgan_train: Callable) -> None:
    rgan_train(*TINY, "train.iterations=8", "output_root=whole")
    rgan_train(*TINY, "train.iterations=3", "output_root=parts")
    status, out, _ = rgan_train(*TINY, "train.iterations=8", "output_root=parts")
    assert status == 0
    assert "from iteration 3 to iteration 8" in out
    (whole,), (parts,) = Path("whole").iterdir(), Path("parts").iterdir()
    assert whole.name == parts.name
    assert same_weights(whole, parts)
    assert [entry["iteration"] for entry in metrics_of(parts)] == list(range(1, 9))
    history = [dict(result_of(path)["scores"]["fd_pixels"]["history"]) for path in (whole, parts)]
    assert list(history[1]) == [0, 2, 3, 4, 6, 8]  # 3 was the end once
    assert all(history[1][iteration] == value for iteration, value in history[0].items())


def test_how_often_a_run_is_watched_changes_nothing(rgan_train: Callable) -> None:
    rgan_train(*TINY, "train.iterations=6", "output_root=watched", "fid.every=1", "train.checkpoint_every=1")
    rgan_train(
        *TINY, "train.iterations=6", "output_root=alone", "fid.every=null", "train.sample_every=null",
        "train.checkpoint_every=null", "train.log_every=100",
    )  # fmt: skip
    (watched,), (alone,) = Path("watched").iterdir(), Path("alone").iterdir()
    assert same_weights(watched, alone)
    assert result_of(alone)["scores"] == {}
    assert not list((alone / "samples").iterdir())
    assert [path.name for path in (alone / "checkpoints").iterdir()] == ["last.pt"]


def test_scores_under_another_protocol_are_kept_apart(rgan_train: Callable) -> None:
    rgan_train(*TINY)
    rgan_train(*TINY, "train.iterations=6", "fid.num_samples=250")
    result = result_of(only_run())
    assert [iteration for iteration, _ in result["scores"]["fd_pixels"]["history"]] == [4, 6]
    (other,) = result["scores_under_other_protocols"]
    assert [iteration for iteration, _ in other["history"]] == [0, 2, 4]
    assert other["protocol"]["num_samples"] == 200


def test_real_statistics_are_reused_by_the_second_run(rgan_train: Callable) -> None:
    first = rgan_train(*TINY)[2]
    second = rgan_train(*TINY, "loss=sgan")[2]
    assert "pixels statistics of 200 real images: computing" in first
    assert "pixels statistics of 200 real images: reused from" in second


def test_every_combination_of_choices_runs(rgan_train: Callable) -> None:
    fast = [*TINY, "train.iterations=1", "fid.every=null", "train.sample_every=null"]
    for choices in ("comparison=centered", "function=hinge", "generator=saturating", "penalty=gp"):
        fast.append(f"loss.{choices}")
        status, _, err = rgan_train(*fast)
        assert status == 0, err


def test_a_sweep_runs_each_value(rgan_train: Callable) -> None:
    status, _, _ = rgan_train("-m", *TINY, "optim.lr=1e-4,2e-4", "train.iterations=1")
    assert status == 0
    runs = [path for path in Path("outputs").iterdir() if path.name != "multirun"]
    assert sorted(result_of(path)["config"]["optim"]["lr"] for path in runs) == [1e-4, 2e-4]


def test_a_bad_value_in_a_sweep_does_not_stop_the_others(rgan_train: Callable) -> None:
    status, _, err = rgan_train("-m", *TINY, "optim.lr=-1,2e-4", "train.iterations=1")
    assert status == 1
    assert "optim.lr=-1.0: must be a number above 0" in err
    assert len([path for path in Path("outputs").iterdir() if path.name != "multirun"]) == 1


def test_divergence_ends_the_run_and_is_recorded(rgan_train: Callable) -> None:
    status, _, err = rgan_train(*TINY, "loss=lsgan", "arch.spectral_norm=false", "optim.lr=1e20", "train.iterations=50")
    assert status == cli.EXIT_DIVERGED
    assert re.search(r"diverged at iteration \d+: loss/.* not finite", err)
    folder = only_run()
    assert result_of(folder)["status"] == "diverged"
    last_line = metrics_of(folder)[-1]
    seen = [name for name, value in last_line.items() if value is None]
    assert seen == [name for name in result_of(folder)["not_finite"] if not name.startswith("weights/")] != []
    assert result_of(folder)["diverged"] == {k: result_of(folder)[k] for k in ("iteration", "not_finite")}
    # No checkpoint of a state known to be broken: what is there is from before.
    last = folder / "checkpoints" / "last.pt"
    assert not last.exists() or torch.load(last, weights_only=True)["iteration"] < result_of(folder)["iteration"]


def test_other_images_under_the_same_name_are_noticed(rgan_train: Callable, tmp_path: Path) -> None:
    from tests.test_data import write_images

    write_images(tmp_path / "images", 12)
    folder = [argument for argument in TINY if not argument.startswith("data")]
    folder += ["data=folder", "data.root=images"]
    assert rgan_train(*folder)[0] == 0
    (tmp_path / "images" / "class_0" / "deep" / "0.png").unlink()
    status, _, err = rgan_train(*folder, "train.iterations=6")
    assert status == 2
    assert "trained on other images than images now holds" in err


def test_a_checkpoint_of_another_arch_is_refused(rgan_train: Callable) -> None:
    rgan_train(*TINY)
    folder = only_run()
    path = folder / "checkpoints" / "last.pt"
    content = torch.load(path, weights_only=True)
    content["generator"] = {key: tensor[:1] for key, tensor in content["generator"].items() if tensor.ndim}
    torch.save(content, path)
    status, _, err = rgan_train(*TINY, "train.iterations=6")
    assert status == 2
    assert "last.pt: does not fit this run (" in err
    assert err.count("\n") == 1


# --- Hydra as people know it ------------------------------------------------------------------------------------------


def test_help_lists_groups_and_keys(rgan_train: Callable) -> None:
    status, out, _ = rgan_train("--help")
    assert status == 0
    for shown in (
        "loss: hinge, lsgan",
        "data: cat128, cat256, cat64, cifar10, demo, folder",
        "checkpoint_every: 10000",
        "rgan-train loss=rasgan",
    ):
        assert shown in out


def test_cfg_job_prints_the_composed_config_and_makes_nothing(rgan_train: Callable) -> None:
    status, out, _ = rgan_train("--cfg", "job", "loss=ralsgan", "loss.comparison=pair")
    assert status == 0
    assert "function: least_squares" in out
    assert "comparison: pair" in out
    assert not Path("outputs").exists()


def test_info(rgan_train: Callable) -> None:
    status, out, _ = rgan_train("--info", "searchpath")
    assert status == 0
    assert "main" in out


def test_config_dir_adds_options(rgan_train: Callable, tmp_path: Path) -> None:
    option = tmp_path / "mine" / "optim" / "slow.yaml"
    option.parent.mkdir(parents=True)
    option.write_text("lr: 1.0e-5\nbetas: [0.0, 0.9]\nn_d: 1\n")
    status, out, _ = rgan_train("--config-dir", "mine", "optim=slow", "--cfg", "job")
    assert status == 0
    assert "lr: 1.0e-05" in out


# --- refusals ---------------------------------------------------------------------------------------------------------

DEMO = "data=demo fid.features=pixels "
REFUSED = {
    "loss=rasgam": r"loss=rasgam: there is no such option; did you mean rasgan\? one of: hinge",
    "experiment=demoo": r"experiment=demoo: there is no such option; did you mean demo\?",
    "los=rasgan": r"los=rasgan: there is no key los; did you mean loss\?",
    "train.itertions=3": r"train\.itertions=3: there is no key train\.itertions; did you mean train\.iterations\?",
    "iterations=3": r"iterations=3: there is no key iterations; did you mean train\.iterations\?",
    "rasgan": r"rasgan: not an override",
    "optim.lr=-1": r"optim\.lr=-1\.0: must be a number above 0",
    "train.batch_size=ten": r"train\.batch_size=ten: must be an integer",
    "data=folder": r"data\.root: has no value",
    "data=folder data.root=nowhere": r"data\.root=nowhere: there is no such folder or file",
    DEMO + "train.batch_size=20000": r"train\.batch_size=20000: a batch draws 20000 distinct images, .*10000 images",
    DEMO + "fid.num_real=20000": r"fid\.num_real=20000: the data set has 10000 images",
    DEMO + "arch.width=20000": r"arch\.width=20000: .* take [\d,.]+ GiB of memory, and [\d.]+ GiB are free",
    DEMO + "arch.width=2000000000": r"arch\.width=2000000000: too large",
    DEMO + "device=cuda:99": r"device=cuda:99: ",
    "data=demo fid.weights=nowhere.pth": r"fid\.weights=nowhere\.pth: there is no such file",
}  # fmt: skip


@pytest.mark.parametrize("arguments", REFUSED)
def test_refusals_are_one_line_and_leave_nothing(arguments: str, rgan_train: Callable) -> None:
    status, out, err = rgan_train(*arguments.split())
    assert status == 2
    assert out == ""
    assert err.count("\n") == 1
    assert re.match(r"rgan-train: error: " + REFUSED[arguments], err)
    assert not list(Path().glob("outputs*"))


def test_hydra_full_error_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, rgan_train: Callable) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(UserError):
        rgan_train("optim.lr=-1")
    assert os.environ["HYDRA_FULL_ERROR"] == "1"


# --- stops ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def long_run() -> Iterator[subprocess.Popen]:
    command = [sys.executable, "-c", "from rgan_bench.cli.train import main; main()"]
    arguments = [*TINY, "train.iterations=100000", "fid.every=null", "train.sample_every=null"]
    arguments += ["train.checkpoint_every=null"]
    with subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while not list(Path("outputs").glob("*/metrics.jsonl")):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_is_saved_and_says_how_to_continue(long_run: subprocess.Popen, number: int) -> None:
    long_run.send_signal(number)
    _, err = long_run.communicate(timeout=60)
    assert long_run.returncode == 128 + number
    assert "Traceback" not in err
    assert re.search(r"rgan-train: stopped; saved in outputs/.*the same command continues", err)
    folder = only_run()
    iteration = torch.load(folder / "checkpoints" / "last.pt", weights_only=True)["iteration"]
    assert result_of(folder)["status"] == "interrupted"
    assert result_of(folder)["iteration"] == iteration == metrics_of(folder)[-1]["iteration"] > 0
