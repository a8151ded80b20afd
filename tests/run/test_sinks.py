"""Who is told of a run: what TensorBoard's and W&B's own files hold, after a kill too; refusals; plugins' sinks."""

import contextlib
import json
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from hydra import compose, initialize_config_dir

from rgan_bench import load_generator
from rgan_bench.cli import train as cli
from rgan_bench.config.schema import Config
from rgan_bench.config.validate import config_dir, validate
from rgan_bench.errors import UserError
from rgan_bench.plugins import forget_plugins
from rgan_bench.run.experiment import run_experiment
from rgan_bench.run.folder import RunFolder
from rgan_bench.run.sinks.wandb import WeightsAndBiases
from scripts.crash_test import differences
from tests.conftest import TINY
from tests.run.test_reliability import cut_at, interrupt

Tiny = Callable[..., Config]
# No network, and no account: an address where nobody answers.
OFFLINE = {"WANDB_MODE": "offline", "WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_ERROR_REPORTING": "false"}
# Dies after iteration 3, with its last checkpoint at 2.
KILLED = """
import os, signal, time
from rgan_bench.cli.train import main
from rgan_bench.run.sinks import Sinks
log = Sinks.log
def log_and_die(self, iteration, values):
    log(self, iteration, values)
    if iteration == 3:
        self.save()
        time.sleep(1)  # W&B writes in a process of its own
        os.kill(os.getpid(), signal.SIGKILL)
Sinks.log = log_and_die
main()
"""


@contextlib.contextmanager
def offline(root: Path) -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in OFFLINE.items():
            patch.setenv(name, value)
        for name in ("HOME", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR", "RGAN_BENCH_CACHE"):
            patch.setenv(name, str(root / "elsewhere"))
        patch.delenv("WANDB_API_KEY", raising=False)
        patch.chdir(root)
        yield patch
        if "wandb" in sys.modules:
            sys.modules["wandb"].teardown()  # it reads its variables once


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of four iterations that was killed after the third and went on from the second."""
    root = tmp_path_factory.mktemp("watched")
    settings = [*TINY, "ema.half_life=20", "logger=[tensorboard,wandb]"]
    with offline(root):
        killed = subprocess.run([sys.executable, "-c", KILLED, *settings], capture_output=True, text=True)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        (folder,) = Path("outputs").iterdir()
        (events,) = (folder / "tensorboard").iterdir()
        with events.open("ab") as file:
            file.write(struct.pack("<Q", 500) + b"torn")  # a record that was not finished
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            assert run_experiment(validate(compose("config", overrides=settings)))["status"] == "finished"
    return root / folder


def metrics(folder: Path) -> dict[int, dict[str, float]]:
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return {line["iteration"]: line for line in lines}


def scores(folder: Path) -> dict[str, list[list[float]]]:
    result = json.loads((folder / "result.json").read_text())
    return {name: summary["history"] for name, summary in result["scores"].items()}


def test_tensorboard_shows_every_point_once(watched: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(watched / "tensorboard"), {"images": 0, "scalars": 0}).Reload()
    assert len(list((watched / "tensorboard").iterdir())) == 2
    assert {"gradient_norm/generator", "logits/real", "grid/pixel_sd"} < set(read.Tags()["scalars"])
    points = {event.step: event.value for event in read.Scalars("loss/generator")}
    assert points == pytest.approx({at: line["loss/generator"] for at, line in metrics(watched).items()}, rel=1e-6)
    assert [event.step for event in read.Scalars("loss/generator")] == [1, 2, 3, 4]
    assert {"fd_pixels", "fd_pixels_ema"} == set(scores(watched))
    for name, history in scores(watched).items():
        told = [[event.step, event.value] for event in read.Scalars(f"score/{name}")]
        assert told == [[at, pytest.approx(value, rel=1e-6)] for at, value in history]
    for grids in ("samples", "samples_ema"):
        assert [image.step for image in read.Images(grids)] == [0, 2, 4]
        assert read.Images(grids)[-1].encoded_image_string == (watched / grids / "iter_000004.png").read_bytes()


def test_hparams_is_the_table_of_a_sweep(watched: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import metadata

    described = EventAccumulator(str(watched / "tensorboard")).Reload().PluginTagToContent("hparams")
    row = metadata.parse_session_start_info_plugin_data(described[metadata.SESSION_START_INFO_TAG])
    table = metadata.parse_experiment_plugin_data(described[metadata.EXPERIMENT_TAG])
    assert row.group_name == watched.name
    assert {key: row.hparams[key].number_value for key in ("optim.lr", "seed", "arch.width", "ema.half_life")} == {
        "optim.lr": 2e-4,
        "seed": 1,
        "arch.width": 2,
        "ema.half_life": 20,
    }
    assert (row.hparams["loss.name"].string_value, row.hparams["arch.spectral_norm"].bool_value) == ("rasgan", True)
    assert {info.name for info in table.hparam_infos} == set(row.hparams)
    assert [info.name.tag for info in table.metric_infos] == ["score/fd_pixels", "score/fd_pixels_ema"]


def wandb_records(path: Path) -> Iterator:
    """Of a .wandb file: records in the format of LevelDB's log, behind a header of seven bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, at, part = path.read_bytes(), 7, b""
    while at + 7 <= len(content):
        if 32768 - at % 32768 < 7:  # no record begins so near the end of a block
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + 7])
        part += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            yield Record.FromString(part)
            part = b""


def test_wandb_has_every_point_once_under_one_id(watched: Path) -> None:
    told: dict[str, list[tuple[int, object]]] = {}
    runs, statuses = [], []
    for path in sorted((watched / "wandb").glob("offline-run-*/*.wandb")):
        for record in wandb_records(path):
            row = {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item}
            for name in row:
                told.setdefault(name, []).append((row["iteration"], row[name]))
            if record.HasField("run"):
                runs.append(record.run)
            if record.HasField("exit"):
                statuses.append(record.exit.exit_code)
    assert told["loss/generator"] == [(at, line["loss/generator"]) for at, line in metrics(watched).items()]
    for name, history in scores(watched).items():
        assert told[f"score/{name}"] == [(at, value) for at, value in history]
    for grids in ("samples", "samples_ema"):
        assert [at for at, _ in told[f"{grids}/path"]] == [0, 2, 4]
    assert len({run.run_id for run in runs}) == 1
    assert len(runs) == 2
    assert {(run.display_name, run.run_group) for run in runs} == {(watched.name, watched.name.removesuffix("_seed1"))}
    assert {update.key for update in runs[0].config.update} >= {"loss", "optim", "seed", "fid"}
    assert statuses == [0]


def test_what_the_server_of_wandb_never_got_is_told_again(tiny_config: Tiny, tmp_path: Path) -> None:
    import wandb

    folder = RunFolder(tmp_path / "run")
    folder.create()
    with offline(tmp_path) as patch:
        made = WeightsAndBiases(folder, tiny_config())
        for heard, told in ((0, {}), (2, {"loss": 1, "samples": 1}), (3, {"loss": 2, "samples": 1})):
            run = SimpleNamespace(offline=False, starting_step=heard, log=lambda row: None, define_metric=Mock())
            patch.setattr(wandb, "init", lambda run=run, **others: run)
            assert made.begin(0) == told
            if heard == 0:
                made.log(1, {"loss": 0.5})
                made.log(1, {"samples": 0})  # as a row of its own
                made.log(2, {"loss": 0.4})
                with made.note.open("a") as file:
                    file.write('{"step": 3, "itera')


def test_being_watched_changes_neither_the_run_nor_its_name(watched: Path, tiny_config: Tiny) -> None:
    run_experiment(tiny_config("ema.half_life=20"))
    (plain,) = Path("outputs").iterdir()
    assert plain.name == watched.name
    assert differences(plain, watched) == []


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_loggers_that_cannot_be_are_refused_in_one_line(
    tiny_config: Tiny, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert tiny_config("logger=tensorboard").logger == ["tensorboard"]
    for value, message in {
        "tensorbord": "logger=[tensorbord]: did you mean tensorboard? one of: tensorboard, wandb",
        "[wandb,wandb]": "logger=[wandb,wandb]: names one twice",
    }.items():
        with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
            tiny_config(f"logger={value}")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *(path for path in sys.path if "site-packages" not in path)])
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    (tmp_path / "wandb").mkdir()  # a folder, as W&B makes one, is no package
    with pytest.raises(UserError, match=r"logger=\[wandb\]: wandb is not installed; pip install 'rgan-bench\[wandb\]'"):
        tiny_config("logger=wandb")


def test_without_an_account_or_a_network_nothing_is_trained_and_nothing_written(
    tiny_config: Tiny, tmp_path: Path
) -> None:
    import wandb

    with offline(tmp_path) as patch:
        patch.delenv("WANDB_MODE")
        with pytest.raises(UserError, match="logger=wandb: nobody is logged in; call `wandb login`, set WANDB_MODE="):
            run_experiment(tiny_config("logger=wandb"))

        def unreachable(**others: object) -> None:
            raise wandb.errors.CommError("no route\nto host")

        patch.setattr(wandb, "login", unreachable)
        with pytest.raises(UserError, match="logger=wandb: no route to host; call"):
            run_experiment(tiny_config("logger=wandb"))
    assert not Path("outputs").exists()


# --- sinks of one's own -----------------------------------------------------------------------------------------------

DIARY = """
from rgan_bench.register import sink
from rgan_bench.run.sinks import Sink

class Diary(Sink):
    def __init__(self, folder, config):
        self.path = folder.path / "diary"

    def begin(self, iteration):
        self.write(f"begin {iteration}")
        return {"loss/generator": 5}

    def log(self, iteration, values):
        self.write(f"log {iteration} {'loss/generator' in values} {'loss/discriminator' in values}")

    def finish(self, result):
        self.write(f"finish {result['status']} {result.get('iteration')}")

    def write(self, text):
        with self.path.open("a") as file:
            file.write(text + "\\n")

@sink("diary")
class First(Diary): ...

@sink("broken", needs="json")
class Broken(Diary):
    def log(self, iteration, values):
        1 / 0

@sink("closed")
class Closed(Diary):
    def begin(self, iteration):
        raise OSError("no such place")
"""


@pytest.fixture
def diary() -> Iterator[Callable[[], list[str]]]:
    forget_plugins()
    Path("diary.py").write_text(DIARY)

    def read() -> list[str]:
        (path,) = Path("outputs").glob("*/diary")
        return path.read_text().splitlines()

    yield read
    forget_plugins()


@pytest.mark.usefixtures("heard_signals")
def test_a_sink_hears_how_each_session_ends_and_nothing_twice(
    diary: Callable[[], list[str]], tiny_config: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("the GPU fell off")

    def twice() -> None:
        interrupt()
        interrupt()

    settings = ("plugins=[diary.py]", "logger=[diary]", "train.iterations=7", "fid.every=null")
    for iteration, how, error in ((3, fail, RuntimeError), (4, interrupt, None), (5, twice, KeyboardInterrupt)):
        with monkeypatch.context() as patch:
            cut_at(iteration, how, patch)
            with pytest.raises(error) if error else contextlib.nullcontext():
                run_experiment(tiny_config(*settings))
    run_experiment(tiny_config(*settings))
    assert diary() == [
        *("begin 0", "log 1 False True", "log 2 False True", "finish failed 2"),
        *("begin 2", "log 3 False True", "log 4 False True", "finish interrupted 4"),
        *("begin 4", "finish interrupted 4"),
        *("begin 4", "log 5 False True", "log 6 True True", "log 7 True True", "finish finished 7"),
    ]
    forget_plugins()
    (folder,) = Path("outputs").iterdir()
    load_generator(folder)  # a generator does not need who was told of its training


def test_a_sink_that_fails_stops_no_training_and_one_that_cannot_begin_is_refused(
    diary: Callable[[], list[str]], run_command: Callable
) -> None:
    arguments = [*TINY, "plugins=[diary.py]"]
    status, _, err = run_command(cli.main, *arguments, "logger=[diary,closed]")
    assert status == 2
    assert err == "rgan-train: error: logger=closed: cannot be had (no such place); mend it, or leave it out\n"
    assert diary() == ["begin 0", "finish failed None"]
    status, _, err = run_command(cli.main, *arguments, "logger=broken")
    assert status == 0
    assert err.count("warning: writing broken: failed (division by zero)") == 1
    assert diary()[-1] == "finish finished 4"
