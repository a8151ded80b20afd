"""One run in its folder: what result.json tells of it, or, where that is missing or damaged, what the rest tells."""

import contextlib
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from rgan_bench.config.identity import NEUTRAL
from rgan_bench.config.validate import root_defaults, validate
from rgan_bench.files import by_iteration
from rgan_bench.locks import is_held
from rgan_bench.report.parts import MOST, Malformed, printable
from rgan_bench.report.reading import read_run
from rgan_bench.report.runs import Run, Score
from rgan_bench.report.sweeps import flat
from rgan_bench.run.folder import RunFolder

PARTS = (
    "checkpoints",
    "samples",
    "samples_ema",
    "tensorboard",
    "wandb",
    ".hydra",
    "plugins",
)  # folders of a run folder
TAIL = 1 << 16  # bytes of metrics.jsonl in which its last line is looked for


@dataclass(frozen=True)
class FoundRun:
    """A run that lies in a folder. Its texts are printable, its numbers finite.

    Attributes:
        path: the folder.
        status: as result.json has it: finished, interrupted, diverged, failed; running: a process holds the folder now;
            killed: result.json says running, and nobody holds it; no result, damaged: result.json is missing, or cannot
            be read.
        iteration: that it has come to; None: not known.
        run: what result.json tells, or at least the config; None: not even that can be read.
        held: whether a process holds the folder; None: that cannot be told.
        rate: iterations a second of training; None: not known.
        problem: why result.json cannot be read; empty: it can.
        changed: when one of its files last changed, in seconds of Unix time.
        bytes: of all its files.
    """

    path: Path
    status: str
    iteration: int | None
    run: Run | None
    held: bool | None
    rate: float | None
    problem: str
    changed: float
    bytes: int

    @property
    def name(self) -> str:
        return printable(self.path.absolute().name)

    @property
    def iterations(self) -> int | None:
        """That it shall come to."""
        return self.run.iterations if self.run else None

    @property
    def config(self) -> dict[str, Any]:
        """Nested, as `dataclasses.asdict` has it; empty: not known."""
        return self.run.config if self.run else {}

    @property
    def loss(self) -> str | None:
        return self.run.loss if self.run else None

    @property
    def seed(self) -> int | None:
        return self.run.seed if self.run else None

    @property
    def scores(self) -> dict[str, Score]:
        """Name → final and best (iteration, value), history, protocol."""
        return self.run.scores if self.run else {}

    @property
    def command(self) -> str | None:
        """That made it; None: not known, or it was made from Python."""
        return self.run.command if self.run else None

    @property
    def age(self) -> float:
        """Seconds since one of its files changed."""
        return max(0.0, time.time() - self.changed)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Dotted key → value of everything in the config, and loss, arch and data → their names. Keys that are younger
        than the run are neutral."""
        if self.run is None:
            return {}
        names = {group: self.config[group]["name"] for group in ("loss", "arch", "data")}
        younger = {key: neutral for key, (neutral, _) in NEUTRAL.items()}
        return younger | dict(leaves(self.config)) | names | {"loss": self.run.loss}

    @cached_property
    def deciding(self) -> dict[str, Any]:
        """Dotted key → value of what decides the trained weights, the seed aside; empty: not known."""
        return flat(self.run) if self.run else {}

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl, by iteration as they were written; torn ones are passed over."""
        return list(lines_of(RunFolder(self.path).metrics))


def leaves(config: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of everything in nested dicts that is none."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def read_entry(path: Path, *, ours: bool = False) -> FoundRun:
    """
    Args:
        path: a run folder.
        ours: this process holds the folder itself.
    """
    folder = RunFolder(path)
    held = False if ours else is_held(folder.lock)
    run, problem = None, ""
    if os.path.lexists(folder.result):
        try:
            run = read_run(folder.result)
            status = run.status
        except Malformed as error:
            status, problem = "damaged", f"{printable(folder.result)}: {error}"
    else:
        status = "no result"
    iteration = run.iteration if run else None
    if run is None:
        run = run_without_result(path, status)
    if held:
        status = "running"
    elif status == "running" and held is not None:
        status = "killed"
    rate = run.rate if run else None
    if status in ("running", "killed", "no result", "damaged"):  # result.json is written now and then
        last = next(iter([*lines_of(folder.metrics, TAIL)][-1:]), {})
        checkpoints = [int(file.stem[5:]) for file in by_iteration(folder.checkpoints, ".pt")]
        iteration = max([iteration or 0, last.get("iteration", 0), *checkpoints]) or iteration
        told: Any = last.get("iterations_per_second")
        rate = float(told) if type(told) in (int, float) and 0 <= told < MOST else rate
    size, changed = measure(path)
    return FoundRun(path, status, iteration, run, held, rate, problem, changed, size)


def run_without_result(path: Path, status: str) -> Run | None:
    """From the config that Hydra composed. Its plugins are not imported: a file must not decide which code runs."""
    try:
        with (path / ".hydra" / "config.yaml").open() as file:
            composed = OmegaConf.load(file)
        assert isinstance(composed, DictConfig)
        merged = OmegaConf.merge(root_defaults(), composed, {"plugins": []})
        assert isinstance(merged, DictConfig)
        config = asdict(validate(merged))
    except Exception:  # the file can hold anything
        return None
    return Run(path, printable(path.absolute().name), status, 0, config, {})


def lines_of(path: Path, tail: int | None = None) -> Iterator[dict[str, Any]]:
    """The lines of a metrics.jsonl that are whole.

    Args:
        tail: only those in so many of its last bytes; None: all.
    """
    try:
        if not path.is_file():  # a pipe would keep us waiting
            return
        with path.open("rb") as file:
            if tail is not None:
                file.seek(max(0, file.seek(0, os.SEEK_END) - tail))
            content = file.read()
    except OSError:
        return
    for line in content.splitlines():
        with contextlib.suppress(ValueError, RecursionError):
            entry = json.loads(line, parse_constant=lambda text: None)
            if isinstance(entry, dict) and type(entry.get("iteration")) is int and entry["iteration"] >= 0:
                yield {printable(key): value for key, value in entry.items()}


def measure(path: Path) -> tuple[int, float]:
    """(bytes of all files, each once however many names it has; when a visible one last changed). Links are not
    followed."""
    sizes: dict[tuple[int, int], int] = {}
    changed, folders = 0.0, [path]
    for folder in folders:
        with contextlib.suppress(OSError), os.scandir(folder) as listing:
            for each in listing:
                with contextlib.suppress(OSError):
                    if each.is_dir(follow_symlinks=False):
                        folders.append(Path(each.path))
                        continue
                    status = each.stat(follow_symlinks=False)
                    sizes[status.st_dev, status.st_ino] = status.st_size
                    if not each.name.startswith("."):
                        changed = max(changed, status.st_mtime)
    return sum(sizes.values()), changed or path.stat().st_mtime


def short_name(name: str) -> str:
    """ "57f16a66_seed1" of a folder that rgan-train named, else the whole name."""
    found = re.search(r"_([0-9a-f]{8}_seed\d+)$", name)
    return found[1] if found else name
