"""What a run folder answers already, from its result.json alone. Imports no torch: finished cells cost no time."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from rgan_bench import register
from rgan_bench.config.schema import Config, FidConfig
from rgan_bench.data.signature import source_signature
from rgan_bench.errors import UserError
from rgan_bench.files import digest
from rgan_bench.run.folder import RunFolder
from rgan_bench.scoring.protocol import INCEPTION_WEIGHTS, metrics_of

Signatures = dict[tuple[str, str], str | None]  # data set and root → as `source_signature` has it


@dataclass(frozen=True)
class Answer:
    """What was asked for, of a run that has come so far or further.

    Attributes:
        result: the content of result.json.
        stands_at: the iteration that the run has come to.
        iteration: that was asked for.
        scores: name → (protocol, value after exactly that iteration), of all that the config asks for.
        unscored: iterations on the way at which it was not scored though the config would have it.
    """

    result: dict[str, Any]
    stands_at: int
    iteration: int
    scores: dict[str, tuple[dict[str, Any], float]]
    unscored: list[int] = field(default_factory=list)


def answer(folder: RunFolder, config: Config, signatures: Signatures | None = None) -> Answer | None:
    """None where there is something to do or to look into: training, a score, other images, a result.json in pieces.

    Args:
        signatures: those that were looked up a moment ago, for other runs, to which this one's is added: the images may
            be many files.
    """
    result, iteration = folder.read_result(), config.train.iterations
    if result is None:
        return None
    try:
        stands_at = result["iteration"]
        if stands_at < iteration or (stands_at == iteration and result["status"] != "finished"):
            return None
        signature = _signature(config.data, {} if signatures is None else signatures)
        if signature is not None and result["data"].get("signature", signature) != signature:
            return None
        generators = ("raw", "ema") if config.has_average else ("raw",)
        scores = {} if config.fid.every is None else wanted_scores(result, config.fid, iteration, generators)
    except (AttributeError, IndexError, KeyError, OSError, TypeError, ValueError):
        return None
    return None if scores is None else Answer(result, stands_at, iteration, scores, _unscored(result, config, scores))


def refuse_the_past(folder: RunFolder, config: Config) -> None:
    """Where `answer` is none because the finished run was not scored after so few iterations: it cannot be any more.

    Raises:
        UserError: that is so.
    """
    result = folder.read_result() or {}
    reached = result.get("iteration")
    if result.get("status") == "finished" and isinstance(reached, int) and reached > config.train.iterations:
        raise UserError(has_come_further(folder, reached, config.train.iterations))


def has_come_further(folder: RunFolder, reached: int, asked: int) -> str:
    """What to do about a run that has come to `reached` iterations, when fewer are asked for."""
    start = (
        f"train.iterations={asked}: the run in {folder.path} has come to {reached:,} already, and was not scored after "
        f"{asked:,} as is asked for; "
    )
    checkpoint = folder.checkpoints / f"iter_{asked:06d}.pt"
    if checkpoint.exists():
        return f"{start}to score what it was then: rgan-fid {checkpoint}"
    return (
        f"{start}there is no checkpoint of then; ask for {reached} or more, or train that run anew elsewhere with "
        "output_root=PLACE"
    )


def _signature(data: Any, known: Signatures) -> str | None:
    images = (data.name, getattr(data, "root", ""))
    if images not in known:
        known[images] = source_signature(data)
    return known[images]


def _unscored(result: dict[str, Any], config: Config, scores: dict[str, tuple[dict[str, Any], float]]) -> list[int]:
    if config.fid.every is None or config.fid.every >= config.train.iterations:
        return []
    told = {name: {at for at, _ in result["scores"][name]["history"]} for name in scores if name in result["scores"]}
    wanted = range(config.fid.every, config.train.iterations, config.fid.every)
    return [at for at in wanted if any(at not in known for known in told.values())]


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
    given = _digest(Path(fid.weights))
    return (given,) if len(readers) == 1 else (given, own)  # of several, it is for the one that it fits


def _digest(path: Path) -> str:
    """Read once while the file stays the same: it is asked for with every score of every run, and may be large."""
    status = path.stat()
    return _digest_as_of(path, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@cache
def _digest_as_of(path: Path, *state: int) -> str:
    return digest(path)
