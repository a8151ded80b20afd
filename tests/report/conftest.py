"""Small result.json files, as rgan-train would have written them, and the command that reads them."""

import copy
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from rgan_bench.cli import table as cli
from rgan_bench.config.schema import Config
from rgan_bench.scoring.protocol import Protocol

Make = Callable[..., Path]
CONFIGS: dict[tuple[str, ...], dict] = {}
WEIGHTS = "6726825d0af5f729"  # begins as torch-fidelity's file of Inception weights says


@pytest.fixture
def make(compose_config: Callable[..., Config]) -> Make:
    """Writes a small result.json of a cell, as rgan-train would have."""
    from dataclasses import asdict

    def made(
        *overrides: str,
        value: float | None = None,
        status: str = "finished",
        iteration: int | None = None,
        table3: list[float] | None = None,
        features: str = "inception",
        root: str = "outputs",
        **protocol: object,
    ) -> Path:
        if overrides not in CONFIGS:  # composing takes longer than all the rest
            CONFIGS[overrides] = asdict(compose_config(*overrides))
        config = copy.deepcopy(CONFIGS[overrides])
        fid, iterations = config["fid"], config["train"]["iterations"]
        images = {"cifar10": 50_000, "cat64": 9304, "cat128": 6645, "cat256": 2011}.get(config["data"]["name"], 1000)
        settings = {"weights": WEIGHTS, "num_samples": fid["num_samples"], "num_real": images, "batch_norm": "batch"}
        settings |= {"batch_size": fid["batch_size"], "data": config["data"]["name"]} | protocol
        scored = Protocol(features=features, **settings)
        history = [[0, 400.0]] if value is None else [[0, 400.0], [iterations, value]]
        summary = {
            "final": {"iteration": history[-1][0], "value": history[-1][1]},
            "best": {"iteration": history[-1][0], "value": history[-1][1]},
            "history": history,
            "table3": table3 and dict(zip(("min", "max", "mean", "sd"), table3, strict=True), count=9, complete=True),
        }
        result = {
            "status": status,
            "iteration": iterations if iteration is None else iteration,
            "scores": {scored.score_name: summary},
            "protocol": {scored.score_name: scored.as_dict()},
            "config": config,
            "command": "rgan-train " + " ".join(overrides),
            "versions": {"torch": "2.14.1", "device_name": "a <GPU>"},
        }
        folder = Path(root) / f"run_{len(list(Path().rglob('result.json'))):03d}"
        (folder / "samples").mkdir(parents=True)
        (folder / "result.json").write_text(json.dumps(result))
        return folder

    return made


@pytest.fixture
def rgan_table(run_command: Callable[..., tuple[int, str, str]]) -> Callable[..., tuple[int, str, str]]:
    return partial(run_command, cli.main)


@pytest.fixture
def table1(make: Make) -> None:
    """Some cells of table 1: one seed, three seeds, diverged, unfinished, none."""
    make("experiment=table1_stable", "loss=sgan", value=39.5)
    for seed, value in ((1, 30.0), (2, 32.0), (3, 34.0)):
        make("experiment=table1_stable", "loss=rasgan", f"seed={seed}", value=value)
    make("experiment=table1_stable", "loss=lsgan", "seed=1", value=28.0)
    make("experiment=table1_stable", "loss=lsgan", "seed=2", status="diverged", iteration=1200)
    make("experiment=table1_wgangp", "loss=sgan", status="interrupted", iteration=52_000)
    make("experiment=table1_wgangp", "loss=wgangp", value=30.25)
    make("experiment=table1_wgangp", "loss=rasgan_gp", value=31.0)


def first_cells(out: str) -> dict[str, dict]:
    """Of the first column of the first table."""
    return json.loads(out)[0]["columns"][0]["cells"]


def rewrite(folder: Path | str, **values: object) -> None:
    """Changes a result.json: dotted places, with __ for the dots."""
    content = json.loads((Path(folder) / "result.json").read_text())
    for place, value in values.items():
        change(place.replace("__", "."), value)(content)
    (Path(folder) / "result.json").write_text(json.dumps(content))


def change(place: str, value: object) -> Callable[[dict], dict]:
    """Sets the value at a dotted place of a result; "…" takes it away."""

    def changed(result: dict) -> dict:
        *way, last = place.split(".")
        for key in way:
            result = result[int(key) if isinstance(result, list) else key]
        last = int(last) if isinstance(result, list) else last
        if value == "…":
            del result[last]
        else:
            result[last] = value
        return result

    return changed


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'$\\input{x}$|&amp;\n=1"
