"""Cells that are composed once for many, and finished ones that get no job: all is as Hydra alone would have it."""

import importlib.util
import itertools
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from rgan_bench.cli import train as cli
from rgan_bench.config.validate import config_dir, group_options, validate
from rgan_bench.errors import UserError
from rgan_bench.run.folder import RunFolder
from rgan_bench.run.standing import Answer
from rgan_bench.sweeps import finished
from rgan_bench.sweeps.cells import Cells
from rgan_bench.sweeps.outcomes import Sweep
from tests.conftest import TINY

PARTS = [
    ["data=cifar10", "arch=resize32", "optim=wgangp"],
    ["data=demo", "arch=r3gan32", "optim=stable"],
    ["data=shapes", "arch=snresnet32"],
    ["data=folder", "data.root=images", "arch=cnn32"],
    *(["data=cat64", "arch=dcgan64"], ["data=cat128", "arch=dcgan128"], ["data=cat256", "arch=dcgan256"]),
    *(["data=ring8", "arch=mlp2d", "optim=points"], ["data=grid25"]),
]
# Key → a value of the first cell, and one of the second.
PLAIN = {
    "seed": (1, 7),
    "optim.lr": (1e-4, 1),
    "train.sample_every": (5, "null"),
    "output_root": ("here", "'a place, elsewhere'"),
    "schedule.lr.to": ("null", "1e-5"),
    "schedule.lr.end": ("null", 300000),
    "ema.half_life": (0, 50),
    "loss.penalty_weight": (10, "null"),
    "deterministic": ("false", "true"),
}


class Composer:
    """Hydra's way to a cell's config, and ours."""

    def __init__(self) -> None:
        self.loader = GlobalHydra.instance().config_loader()
        self.sweep = self.loader.load_configuration("config", ["seed=1,2"], RunMode.MULTIRUN)
        self.cells = Cells(self.sweep)

    def hydra(self, overrides: list[str]) -> dict:
        composed = self.loader.load_sweep_config(self.sweep, overrides)
        return asdict(validate(OmegaConf.masked_copy(composed, [key for key in composed if key != "hydra"])))

    def ours(self, overrides: list[str]) -> dict:
        return asdict(self.cells.config_of(overrides))


@pytest.fixture
def composer() -> Iterator[Composer]:
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        yield Composer()


def said(how: Callable[[list[str]], dict], overrides: list[str]) -> str | tuple[type, str]:
    """The config, in which repr tells 1 from 1.0, or what is wrong."""
    try:
        return repr(how(overrides))
    except (UserError, HydraException) as error:
        return type(error), str(error)


def test_every_option_is_composed_once_for_all_plain_values(
    composer: Composer, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = {each for parts in PARTS for each in parts}
    assert chosen >= {f"{group}={each}" for group in ("arch", "data", "optim") for each in group_options(group)}
    others = [*PARTS, *([f"experiment={each}"] for each in group_options("experiment"))]
    losses = group_options("loss")
    assert len(losses) >= len(others)
    first, second = ([f"{key}={pair[which]}" for key, pair in PLAIN.items()] for which in (0, 1))
    wrong = []
    for loss, parts in zip(losses, itertools.cycle(others), strict=False):
        fixed = [f"loss={loss}", *parts]
        before = said(composer.ours, [*fixed, *first])
        wanted = said(composer.hydra, [*fixed, *second])
        with monkeypatch.context() as patch:
            patch.setattr(type(composer.loader), "load_sweep_config", None)  # Hydra is not asked again
            assert said(composer.ours, [*fixed, *second]) == wanted
            assert said(composer.ours, [*fixed, *first]) == before
        wrong += [wanted] if isinstance(wanted, tuple) else []
    assert len(wrong) < 3, wrong


@pytest.mark.parametrize(
    "cells",
    [
        (["fid.features=pixels", "data=demo"], ["fid.features=inception", "data=demo"]),
        (["loss.penalty=r1"], ["loss.penalty=[r1,lecam]"]),
        (["output_root=${device}", "device=cpu"], ["output_root=${device}", "device=cuda"]),
        (["device=cpu", "output_root=here"], ["device=cpu", "output_root=${device}"]),
        (["schedule.lr={to:0.1,end:9}", "schedule.lr.to=1"], ["schedule.lr={to:0.1,end:8}", "schedule.lr.to=2"]),
        (["loss.penalty=gp", "loss={penalty:r1}"], ["loss.penalty=lp", "loss={penalty:r1}"]),
        (["schedule.lr.end=9", "++schedule.lr.end=7"], ["schedule.lr.end=8", "++schedule.lr.end=7"]),
        (["experiment=table2_no_bn", "seed=1"], ["experiment=table2_tanh", "seed=2"]),
        (["data=demo", "data.name=demo"], ["data=demo", "data.name=cifar10"]),
        (["seed=1"], ["seed=???"]),
        (["seed=1"], ["seed=x"]),
        (["optim.lr=-1"], ["optim.lr=1"]),
        (["train.batch_size=8", "devices=2"], ["train.batch_size=9", "devices=2"]),
        (["~ema.half_life", "seed=1"], ["~ema.half_life", "seed=2"]),
    ],
)
def test_what_is_not_plain_and_what_is_refused_is_as_hydra_has_it(
    composer: Composer, cells: tuple[list[str], list[str]]
) -> None:
    first, second = cells
    said(composer.ours, first)
    assert said(composer.ours, second) == said(composer.hydra, second)


# --- finished cells ---------------------------------------------------------------------------------------------------

FAST = [*TINY, "train.iterations=2", "train.sample_every=null", "train.checkpoint_every=null", "fid.every=100"]


@pytest.fixture
def rgan_train(run_command: Callable[..., tuple[int, str, str]]) -> Callable[..., tuple[int, str, str]]:
    return partial(run_command, cli.main)


def test_a_mixed_sweep_is_as_if_each_cell_had_its_job(rgan_train: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finished cell, a new one, and two that are refused, in two batches."""
    rgan_train("-m", *FAST, "loss=sgan", "optim.lr=2e-4")
    shutil.copytree("outputs", "before", ignore=shutil.ignore_patterns("multirun"))
    mixed = ["-m", *FAST, "loss=sgan,hinge", "optim.lr=-1,2e-4", "hydra.sweeper.max_batch_size=3"]
    ways = {"passed over": [], "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=1"], "all launched": []}
    if not importlib.util.find_spec("joblib"):
        del ways["joblib"]
    run_cell, statuses, outcomes, lines, launched = cli.run_cell, {}, {}, {}, {}

    def noted(composed: DictConfig) -> float | None:
        numbers.append(HydraConfig.get().job.num)
        return run_cell(composed)

    monkeypatch.setattr(cli, "run_cell", noted)
    for way, more in ways.items():
        numbers = launched[way] = []
        if way == "all launched":
            monkeypatch.setattr(finished, "can_pass_over", lambda config: False)
        shutil.rmtree("outputs")
        shutil.copytree("before", "outputs")
        statuses[way], out, _ = rgan_train(*mixed, *more)
        (folder,) = Path("outputs", "multirun").iterdir()
        outcomes[way] = Sweep(folder).outcomes()
        lines[way] = [line.partition(" (about")[0] for line in out.splitlines() if re.match("cell|.*already", line)]
    assert set(statuses.values()) == {1}
    assert all(each == outcomes["all launched"] for each in outcomes.values())
    assert lines["passed over"] == lines["all launched"]
    told = [outcome.status for outcome in outcomes["passed over"]]
    assert told == ["refused", "already finished", "refused", "finished"]
    assert launched == {way: [0, 2, 3] if way != "all launched" else [0, 1, 2, 3] for way in ways}


def test_cells_after_a_stop_get_no_job_and_unfinished_ones_keep_their_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = Sweep(tmp_path)
    sweep.start([f"seed={number}" for number in range(8)], [""] * 8)
    launched: list[tuple[int, str]] = []

    class SideBySide(Launcher):
        """Cells 3 and 6 are finished; it is stopped in the second batch."""

        def setup(self, **settings: object) -> None: ...

        def launch(self, job_overrides: list[list[str]], initial_job_idx: int) -> list[JobReturn]:
            launched.extend((initial_job_idx + place, *each) for place, each in enumerate(job_overrides))
            if len(launched) == 3:
                sweep.stopped.touch()
            return [JobReturn(status=JobStatus.COMPLETED, overrides=each) for each in job_overrides]

    config = OmegaConf.create({"hydra": {"launcher": {"_target_": "JoblibLauncher"}, "sweep": {"dir": str(tmp_path)}}})
    launcher = finished.PassingOver(SideBySide(), config, [None] * 8)
    known = Answer({}, 2, 2, {}), RunFolder(tmp_path / "run")
    monkeypatch.setattr(launcher, "look", lambda number, signatures: known if number in (3, 6) else None)
    batches = [[[f"seed={number}"] for number in numbers] for numbers in ((2, 3, 4), (5, 6), (7,))]
    returned = [launcher.launch(batch, start) for batch, start in zip(batches, (2, 5, 7), strict=True)]
    assert launched == [(2, "seed=2"), (4, "seed=4"), (5, "seed=5")]
    overrides = [[job.overrides for job in jobs] for jobs in returned]
    assert overrides == [[["seed=2"], None, ["seed=4"]], [["seed=5"], None], [None]]
    (tmp_path / "cell_0000.json").touch()  # after a power cut
    recorded = {number: (outcome.status, outcome.overrides) for number, outcome in sweep.recorded().items()}
    done = "already finished"
    assert recorded == {3: (done, "seed=3"), 6: (done, "seed=6"), 7: ("not started", "seed=7")}
