"""What a run folder answers already, from its result.json alone. Imports no torch: finished cells cost no time."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rgan_bench import register
from rgan_bench.config.schema import Config, FidConfig
from rgan_bench.files import digest, is_folder, listing_digest
from rgan_bench.runs.folder import RunFolder
from rgan_bench.scoring.protocol import INCEPTION_WEIGHTS, always_scored


@dataclass(frozen=True)
class Answer:
    """What was asked for, of a run that has come so far or further.

    Attributes:
        result: the content of result.json.
        stands_at: the iteration that the run has come to.
        iteration: that was asked for.
        scores: name → (protocol, value after exactly that iteration), of all that the config asks for.
    """

    result: dict[str, Any]
    stands_at: int
    iteration: int
    scores: dict[str, tuple[dict[str, Any], float]]


def answer(folder: RunFolder, config: Config) -> Answer | None:
    """None where there is something to do or to look into: training, a score, other images, a result.json in pieces."""
    result, iteration = folder.read_result(), config.train.iterations
    if result is None:
        return None
    try:
        stands_at = result["iteration"]
        if stands_at < iteration or (stands_at == iteration and result["status"] != "finished"):
            return None
        signature = source_signature(config.data)
        if signature is not None and result["data"].get("signature", signature) != signature:
            return None
        generators = ("raw", "ema") if config.has_average else ("raw",)
        scores = {} if config.fid.every is None else wanted_scores(result, config.fid, iteration, generators)
    except (AttributeError, IndexError, KeyError, OSError, TypeError, ValueError):
        return None
    return None if scores is None else Answer(result, stands_at, iteration, scores)


def wanted_scores(
    result: dict[str, Any], fid: FidConfig, iteration: int, generators: tuple[str, ...] = ("raw",)
) -> dict[str, tuple[dict[str, Any], float]] | None:
    """Name → (protocol, value) of what `fid` asks for, after this iteration; None where one of them is not known.

    Args:
        generators: that the run has.
    """
    found = {}
    for name, protocol, history in scores_of(result):
        values = dict(history)
        if iteration in values and _is_asked_for(protocol, fid, result["data"]):
            which = protocol.get("generator", "raw")
            found[which, protocol["features"], protocol["metric"]] = (name, protocol, values[iteration])
    for which, features in itertools.product(generators, fid.features):
        metrics = always_scored(features)
        if any((which, features, metric) not in found for metric in metrics):
            return None
        if found[which, features, metrics[0]][1]["rank_deficient"] and (which, features, "kernel") not in found:
            return None
    return {name: (protocol, value) for name, protocol, value in found.values()}


def scores_of(result: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], list[Any]]]:
    """(score's name, protocol, [[iteration, value], …]) of everything a run was ever scored under."""
    for name, summary in result["scores"].items():
        yield name, result["protocol"][name], summary["history"]
    for other in result.get("scores_under_other_protocols", []):
        yield other["score"], other["protocol"], other["history"]


def source_signature(data: Any) -> str | None:
    """Changes with the files that images are read from; None where they cannot change, or are not there.

    Args:
        data: a validated data config.
    """
    if data.name != "folder" and not data.name.startswith("cat"):
        return None  # drawn from the config, or checked by torchvision each time
    root = Path(data.root)
    try:
        return None if is_folder(root) is None else listing_digest(root)
    except OSError:  # loading them says why
        return None


def _is_asked_for(protocol: dict[str, Any], fid: FidConfig, data: dict[str, Any]) -> bool:
    return (
        protocol["features"] in fid.features
        and protocol["num_samples"] == fid.num_samples
        and protocol["num_real"] == (data["images"] if fid.num_real is None else fid.num_real)
        and protocol["batch_norm"] == fid.batch_norm
        and protocol["batch_size"] == (fid.batch_size if fid.batch_norm == "batch" else None)
        and protocol["data"] == data["fingerprint"]
        and protocol["weights"].startswith(_weights(protocol["features"], fid))
    )


def _weights(features: str, fid: FidConfig) -> str:
    """How what tells an extractor's weights apart begins, as far as that is known without loading it."""
    plugin = register.plugin_of("extractor", features)
    if plugin is not None:
        return plugin.digest
    if features != "inception":
        return ""
    return INCEPTION_WEIGHTS if fid.weights is None else digest(Path(fid.weights))
