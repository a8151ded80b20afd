"""result.json files, alone or several packed in one → runs. Whatever a file holds, it becomes a Run that the rest may
rely on, or is named as none."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from rgan_bench import register
from rgan_bench.config.identity import COUNTED, NEUTRAL
from rgan_bench.config.schema import ArchConfig, LossConfig, OptimConfig
from rgan_bench.config.validate import data_schema
from rgan_bench.errors import UserError, one_line
from rgan_bench.report.parts import Malformed, Part, printable
from rgan_bench.report.runs import Run, Score
from rgan_bench.scoring.protocol import METRICS

MOST_BYTES = 100_000_000  # a history of a million scores has 30 MB

SCHEMAS: dict[str, list[type[Any]]] = {
    "loss": [LossConfig],
    "arch": [ArchConfig],
    "data": [data_schema(name) for name in register.names("dataset")],
    "optim": [OptimConfig],
}
TYPES: dict[str, Any] = {
    f"{group}.{each.name}": each.type
    for group, schemas in SCHEMAS.items()
    for schema in schemas
    for each in fields(schema)
} | {"loss.penalty": str | list[str], "loss.penalty_weight": float | list[float]}  # of one penalty, or of several


def find_runs(places: Iterable[Path], say: Callable[[str], None] = lambda text: None) -> list[Run]:
    """Every run at or below these folders, in the order of their names.

    Args:
        places: folders, files that `rgan-runs pack` wrote, and what would be folders in these.
        say: is told of each file that is left out, and why.

    Raises:
        UserError: a place is not there, or no run is left.
    """
    places = list(places)
    refused: list[str] = []
    runs: dict[str, Run] = {}
    for place in places:
        for path, content in results_at(place, refused):
            try:
                runs.setdefault(os.path.realpath(path), run_of(content(), path.parent))
            except Malformed as error:
                refused.append(f"{printable(path)}: not a result of rgan-train ({error})")
    if not runs and refused:
        more = f"; nor is any other of {len(refused)}" if len(refused) > 1 else ""
        raise UserError(refused[0] + more)
    if not runs:
        shown = " ".join(map(printable, places))
        raise UserError(f"{shown}: no result.json in there; rgan-train makes them")
    for text in refused:
        say(f"left out: {text}")
    names = Counter(run.title for run in runs.values())
    return [run if names[run.title] == 1 else replace(run, title=printable(run.folder)) for run in runs.values()]


def results_at(place: Path, refused: list[str]) -> Iterator[tuple[Path, Callable[[], Any]]]:
    """(path of a result.json, what reads it). Packed ones have the path that they would have if the file were a folder.

    Args:
        refused: gets a line for each folder that cannot be searched, and each file that is none of packed results.

    Raises:
        UserError: the place is not there.
    """
    file = next((path for path in (place, *place.parents) if path.is_file()), None)
    if file is None or file.name == "result.json":
        if not is_there(place):
            raise UserError(f"{printable(place)}: there is no such folder; name folders that hold runs")
        yield from ((path, partial(load, path)) for path in result_files(place, refused))
        return
    try:
        packed = {file / name / "result.json": part.value for name, part in Part(load(file))["runs"].parts().items()}
    except Malformed as error:
        refused.append(f"{printable(file)}: neither a folder nor what rgan-runs pack writes ({error})")
        return
    found = [path for path in packed if path.is_relative_to(place)]
    if not found:
        raise UserError(f"{printable(place)}: none of the {len(packed)} runs in {printable(file)} lies there")
    yield from ((path, partial(packed.__getitem__, path)) for path in found)


def is_there(place: Path) -> bool:
    try:
        return place.exists()
    except OSError:  # a folder on the way that may not be looked into
        return False


def result_files(place: Path, refused: list[str]) -> list[Path]:
    """Whatever is called result.json at or below a place; folders that cannot be searched are added to `refused`."""
    if place.name == "result.json":
        return [place]
    found = []

    def cannot(error: OSError) -> None:
        refused.append(f"{printable(error.filename)}: cannot be searched ({error.strerror})")

    for folder, folders, files in os.walk(place, onerror=cannot):
        found += [Path(folder) / name for name in (*folders, *files) if name == "result.json"]
    return sorted(found)


# --- one file ---------------------------------------------------------------------------------------------------------


def read_run(path: Path) -> Run:
    """
    Raises:
        Malformed: the file cannot be read, or is no result of rgan-train.
    """
    return run_of(load(path), path.parent)


def run_of(content: Any, folder: Path) -> Run:
    """
    Args:
        content: of its result.json.

    Raises:
        Malformed: it is no result of rgan-train.
    """
    result = Part(content)
    scores, protocols = result["scores"].parts(), result["protocol"].parts()
    for name in scores:
        if name not in protocols:
            raise Malformed(f"protocol.{name} is missing")
    diverged, diversity = result.optional("diverged"), result.optional("diversity")
    command, versions, data = map(result.optional, ("command", "versions", "data"))
    rate, failure = result.optional("iterations_per_second"), result.optional("failure")
    images = data.optional("fingerprint") if data else None
    return Run(
        folder=folder,
        title=printable(folder.absolute().name),
        status=result["status"].text(),
        iteration=result["iteration"].iteration(),
        config=read_config(result["config"]),
        scores={name: read_score(name, part, protocols[name]) for name, part in scores.items()},
        others=[
            read_score(other["score"].text(), other, other["protocol"])
            for other in result.each("scores_under_other_protocols")
        ],
        seconds={
            one["iteration"].iteration(): spent.number()
            for one in result.each("scored_at")
            if (spent := one.optional("training_seconds")) is not None
        },
        failed=[(one["iteration"].iteration(), one["reason"].text()) for one in result.each("failed_scores")],
        diverged=(diverged["iteration"].iteration(), [name.text() for name in diverged["not_finite"].entries()])
        if diverged
        else None,
        diversity=read_diversity(diversity) if diversity else None,
        command=command.text() if command else None,
        versions={name: part.plain(depth=0) for name, part in versions.parts().items()} if versions else {},
        images=images.text() if images else None,
        plugins=read_plugins(result),
        rate=rate.number() if rate else None,
        failure=failure.text() if failure else None,
    )


def read_plugins(result: Part) -> dict[str, str]:
    identity = result.optional("identity")
    plugins = identity and identity.optional("plugins")
    return {name: digest.text() for name, digest in plugins.parts().items()} if plugins else {}


def load(path: Path) -> Any:
    try:
        if not path.is_file():  # a folder, a link to nothing, a pipe that would keep us waiting
            raise Malformed("no file" if path.exists() else "a link to nothing")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise Malformed(f"cannot be read: {error.strerror}") from error
    if len(content) > MOST_BYTES:
        raise Malformed(f"larger than {MOST_BYTES:,} bytes")
    try:
        return json.loads(content.decode("utf-8-sig"), parse_constant=refuse_constant)
    except UnicodeDecodeError as error:
        raise Malformed(f"not UTF-8: {error.reason} at byte {error.start:,}") from error
    except RecursionError as error:
        raise Malformed("nested too deeply") from error
    except Malformed:
        raise
    except ValueError as error:
        raise Malformed(f"not JSON: {printable(one_line(error))}") from error


def refuse_constant(text: str) -> None:
    raise Malformed(f"not JSON: {text} stands for a number")


def read_config(part: Part) -> dict[str, Any]:
    config: dict[str, Any] = part.plain()
    for group, keys in COUNTED.items():
        optional = {"root", "num_images", "data_seed"} if group == "data" else set()
        for key in keys:
            if part[group].has(key) or key not in optional:
                config[group][key] = part[group][key].of_type(TYPES[f"{group}.{key}"])
    for key in NEUTRAL:
        check_plain(part, key)
    config["loss"]["name"] = part["loss"]["name"].text()
    if config["data"]["name"] == "folder":
        part["data"]["root"].text()
    if len(config["optim"]["betas"]) != 2:
        raise part["optim"]["betas"].wrong("two numbers")
    part["train"]["iterations"].iteration()
    part["train"]["batch_size"].whole()
    part["seed"].whole()
    return config


def check_plain(part: Part, key: str) -> None:
    """
    Raises:
        Malformed: the file has something at this dotted key, and it is not what it can be: points are a list, all
            others single values.
    """
    for name in key.split("."):
        if not part.has(name):
            return
        part = part[name]
    part.plain(depth=int(key == "loss.penalty_points"))


def read_score(name: str, summary: Part, protocol: Part) -> Score:
    for key in ("features", "weights", "batch_norm", "data"):
        protocol[key].text()
    for key in ("num_samples", "num_real"):
        protocol[key].whole()
    if protocol["metric"].text() not in METRICS:
        raise protocol["metric"].wrong(f"one of {', '.join(METRICS)}")
    protocol["rank_deficient"].of_type(bool)
    if protocol.has("generator") and protocol["generator"].text() not in ("raw", "ema"):
        raise protocol["generator"].wrong("raw or ema")
    table3 = summary.optional("table3")
    if table3 is not None and not table3["complete"].of_type(bool):
        table3 = None
    history = []
    for entry in summary["history"].entries():
        pair = entry.entries()
        if len(pair) != 2:
            raise entry.wrong("a pair of iteration and value")
        history.append((pair[0].iteration(), pair[1].number()))
    final = summary["final"]
    mean, draws, sd = map(final.optional, ("mean", "draws", "sd"))
    return Score(
        name=name,
        protocol={key: part.plain(depth=0) for key, part in protocol.parts().items()},
        final=(final["iteration"].iteration(), final["value"].number()),
        history=history,
        table3={key: table3[key].number() for key in ("min", "max", "mean", "sd")} if table3 else None,
        draws=draws.whole() if mean and draws else 1,
        mean=mean.number() if mean and draws else None,
        sd=sd.number() if sd and draws else None,
    )


def read_diversity(part: Part) -> tuple[int, float, float | None]:
    real = part.optional("real_pixel_sd")
    return part["iteration"].iteration(), part["pixel_sd"].number(), real.number() if real else None
