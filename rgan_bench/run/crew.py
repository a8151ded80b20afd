"""Several ranks on one run: rank 0 lives the run's life, and tells the others what they have to do with it."""

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from rgan_bench import ranks
from rgan_bench.config.combinations import check_devices
from rgan_bench.config.schema import Config
from rgan_bench.console import silent
from rgan_bench.errors import UserError, one_line
from rgan_bench.plugins import load_plugins
from rgan_bench.run.parts import Parts
from rgan_bench.run.stops import Stopped, StopSignals
from rgan_bench.run.timetable import Timetable
from rgan_bench.training.loop import train
from rgan_bench.training.slots import slot
from rgan_bench.training.state import TrainState

ENDED = 1000  # no signal has this number: the run has ended by itself
GRACE = 20.0  # seconds that the other ranks have to leave


def in_world() -> bool:
    """Whether somebody has started this process as one of several ranks, as torchrun does."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


@contextlib.contextmanager
def crew(config: Config) -> Iterator[None]:
    """Within the block this process is rank 0 of `devices` ranks, of which it has started the others; or what it was
    started as, where torchrun started all of them.

    Raises:
        UserError: the ranks cannot reach each other; another rank ended while they were at work.
    """
    if config.devices == 1 and not in_world():
        yield
        return
    there = torch.cuda.device_count()
    if not in_world() and config.device != "cpu" and 0 < there < config.devices:
        raise UserError(f"devices={config.devices}: there are {there} CUDA devices here")
    if in_world():
        check_devices(config, int(os.environ["WORLD_SIZE"]))
    with contextlib.ExitStack() as stack:
        if not in_world():
            stack.enter_context(_others_started(config))
        try:
            ranks.join()
            stack.callback(ranks.leave)
            yield
        except (RuntimeError, ValueError) as error:
            if not ranks.lost(error):
                raise
            raise UserError(
                f"devices={ranks.world().count}: another rank has ended, or cannot be reached "
                f"({one_line(error)[:200]}); the same command goes on from the last checkpoint"
            ) from error


@contextlib.contextmanager
def _others_started(config: Config) -> Iterator[None]:
    """Ranks 1 and up, as processes of their own on this machine. They end with the block."""
    ours: dict[str, str] = {"RANK": "0", "LOCAL_RANK": "0"}
    with tempfile.TemporaryDirectory(prefix="rgan_ranks_") as place:
        for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
            ours[name] = str(config.devices)
        ours[ranks.STORE] = str(Path(place) / "store")
        before = {name: os.environ.get(name) for name in ours}
        os.environ |= ours
        others: list[subprocess.Popen[str]] = []
        try:
            for number in range(1, config.devices):
                process = subprocess.Popen(
                    [sys.executable, "-m", "rgan_bench.run.follower"],
                    env=os.environ | {"RANK": str(number), "LOCAL_RANK": str(number)},
                    stdin=subprocess.PIPE,
                    text=True,
                )
                others.append(process)
                assert process.stdin is not None
                process.stdin.write(json.dumps(asdict(config)))
                process.stdin.close()
            yield
        finally:
            for process in others:
                try:
                    process.wait(GRACE if sys.exc_info()[0] is None else 1)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


# --- rank 0 -----------------------------------------------------------------------------------------------------------


def tell_state(state: TrainState | None) -> None:
    """To the others: where the run goes on. None: there is nothing to do."""
    if ranks.world().count > 1:
        content = io.BytesIO()
        torch.save(None if state is None else state.state_dict(), content)
        ranks.from_first(content.getvalue())


def agree(stop: StopSignals, *, ended: bool = False) -> int:
    """After an iteration: the number of the signal by which any rank is to stop; ENDED; 0 to go on. Waits for all."""
    return ranks.largest(ENDED if ended else stop.received or 0)


# --- the others -------------------------------------------------------------------------------------------------------


def follow(config: Config) -> None:
    """The life of a run on another rank than 0: it computes, and writes and prints nothing. A rank that is lost ends it
    without a word, which rank 0 has for all."""
    with crew(config), silent(), slot(config.device):
        ranks.from_first(None)  # rank 0 has downloaded what there is to download
        parts = Parts.of(config)
        content = torch.load(io.BytesIO(ranks.from_first(None)), map_location="cpu", weights_only=True)
        if content is None:
            return
        state = parts.state
        state.load_state_dict(content)
        timetable = Timetable(config.train, config.fid)

        def attend() -> None:
            if parts.scorer is not None and timetable.due("score", state.iteration):
                while (asked := ranks.from_first(None)) is not None:
                    which, draw = asked
                    parts.scorer.help(state.generators()[which], config.seed, draw)

        with StopSignals() as stop, contextlib.suppress(Stopped):
            attend()
            if agree(stop):
                return
            for _ in train(state, parts.data, config, parts.accelerator):
                attend()
                if agree(stop):
                    return


def config_from(content: dict[str, Any]) -> Config:
    """A validated config, from what `dataclasses.asdict` made of it."""
    from rgan_bench.config.validate import validate

    load_plugins(content["plugins"])
    return validate(OmegaConf.create(content))
