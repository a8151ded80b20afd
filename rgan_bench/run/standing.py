"""What a run folder answers already, from its result.json alone. Imports no torch: finished cells cost no time."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rgan_bench import register
from rgan_bench.config.schema import Config, FidConfig
from rgan_bench.data.signature import source_signature
from rgan_bench.files import digest
from rgan_bench.run.folder import RunFolder
from rgan_bench.scoring.protocol import INCEPTION_WEIGHTS, metrics_of


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
    for name, protocol, summary in scores_of(result):
        values = dict(summary["history"])
        drawn = len(summary.get("draws", {}).get(str(iteration), [None]))
        if iteration in values and drawn >= fid.sampling_seeds and _is_asked_for(protocol, fid, result["data"]):
            which = protocol.get("generator", "raw")
            found[which, protocol["features"], protocol["metric"]] = (name, protocol, values[iteration])
    wanted = set()
    for which, features in itertools.product(generators, fid.features):
        metrics = [*metrics_of(features, fid.metrics)]
        if "frechet" in metrics and is_rank_deficient(found.get((which, features, "frechet"))):
            metrics.append("kernel")
        if any((which, features, metric) not in found for metric in metrics):
            return None
        wanted |= {(features, metric) for metric in metrics}
    return {name: (protocol, value) for key, (name, protocol, value) in found.items() if key[1:] in wanted}


def is_rank_deficient(known: tuple[str, dict[str, Any], float] | None) -> bool:
    return known is not None and bool(known[1]["rank_deficient"])


def scores_of(result: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """(score's name, protocol, its summary) of everything a run was ever scored under."""
    for name, summary in result["scores"].items():
        yield name, result["protocol"][name], summary
    for other in result.get("scores_under_other_protocols", []):
        yield other["score"], other["protocol"], other


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


def _weights(features: str, fid: FidConfig) -> tuple[str, ...]:
    """How what tells an extractor's weights apart may begin, as far as that is known without loading it."""
    plugin = register.plugin_of("extractor", features)
    if plugin is not None:
        return (plugin.digest,)
    own = INCEPTION_WEIGHTS if features == "inception" else ""
    readers = [name for name in fid.features if register.attributes("extractor", name).get("mark")]
    if fid.weights is None or features not in readers:
        return (own,)
    given = digest(Path(fid.weights))
    return (given,) if len(readers) == 1 else (given, own)  # of several, it is for the one that it fits
