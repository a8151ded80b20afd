"""rgan-fid: score checkpoints, run folders, or folders of images."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rgan_bench.config import group_options, load_group_option, root_defaults
from rgan_bench.console import RANK_DEFICIENT, score_label
from rgan_bench.errors import UserError, one_line, shown_as_one_line
from rgan_bench.schema import CHECKS, FEATURES, DemoConfig, FidConfig, FolderConfig, LimitsConfig
from rgan_bench.stops import interrupts_raise
from rgan_bench.streams import prepare_streams

if TYPE_CHECKING:
    from rgan_bench.data.dataset import ImageDataset
    from rgan_bench.scoring import Scorer


def main() -> None:
    prepare_streams(tolerant=False)
    with shown_as_one_line("rgan-fid"):
        run(parser().parse_args())


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rgan-fid",
        description="Score generators against real images. What is not said here is taken from each checkpoint's own "
        "config, so that `rgan-fid RUN` repeats the score of the run.",
    )
    add = parser.add_argument
    what = "a checkpoint, a run folder (its last checkpoint), or a folder or .zip of images (with --data)"
    add("paths", nargs="+", type=Path, metavar="PATH", help=what)
    add("--all", action="store_true", help="of a run folder, every checkpoint")
    add("--features", metavar="F[,F]", help=f"extractors: {', '.join(FEATURES)}")
    add("--weights", metavar="FILE", help="Inception weights (default: torch-fidelity's, downloaded once)")
    add("--data", metavar="D", help="the real images: cifar10, demo, or a folder or .zip of images")
    add("--num-samples", type=int, metavar="N", help="fakes to draw from each generator")
    add("--num-real", type=int, metavar="N", help="real images (default: all)")
    add("--batch-norm", choices=("batch", "running"), help="batch: batch statistics, as the paper sampled")
    add("--batch-size", type=int, metavar="N", help="images drawn at a time")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    add("--json", action="store_true", help="print one JSON list, and nothing else, on stdout")
    return parser


def run(arguments: argparse.Namespace) -> None:
    check(arguments)
    from rgan_bench.devices import keep_freed_memory, resolve_device  # torch: only once the arguments are right

    interrupts_raise()
    device = resolve_device(arguments.device)
    if device.type == "cpu":
        keep_freed_memory()
    bench = Bench(arguments, device)
    rows = [row for path in arguments.paths for row in bench.rows(path)]
    if arguments.json:
        print(json.dumps(rows, indent=2))
    else:
        print_table(rows)


def check(arguments: argparse.Namespace) -> None:
    """The ranges of `rgan-train`'s fid keys, and that every path is there."""
    if arguments.features is not None:
        arguments.features = arguments.features.split(",")
    for option in ("features", "num_samples", "num_real", "batch_size", "device"):
        value = getattr(arguments, option)
        complaint = CHECKS["device" if option == "device" else f"fid.{option}"](value) if value is not None else None
        if complaint:
            shown = ",".join(value) if option == "features" else value
            raise UserError(f"--{option.replace('_', '-')} {shown}: {complaint}")
    for path in arguments.paths:
        if not path.exists():
            raise UserError(f"{path}: there is no such file or folder")
        if not is_checkpoint(path) and not is_run_folder(path) and arguments.data is None:
            raise UserError(
                f"{path}: neither a checkpoint (.pt) nor a run folder; to score it as images, "
                "name the real ones with --data"
            )


def is_checkpoint(path: Path) -> bool:
    return path.suffix == ".pt"


def is_run_folder(path: Path) -> bool:
    return (path / "checkpoints").is_dir()


class Bench:
    """Loads each data set and each extractor once, however many paths are scored."""

    def __init__(self, arguments: argparse.Namespace, device: Any) -> None:
        self.arguments, self.device = arguments, device
        self.datasets: dict[str, ImageDataset] = {}
        self.scorers: dict[str, Scorer] = {}

    def rows(self, path: Path) -> Iterator[dict[str, Any]]:
        """One an extractor, for each checkpoint that the path means, or for its images."""
        if is_checkpoint(path) or is_run_folder(path):
            for checkpoint in self.checkpoints(path):
                yield from self.score_checkpoint(checkpoint)
        else:
            yield from self.score_images(path)

    def checkpoints(self, path: Path) -> list[Path]:
        from rgan_bench.checkpoint import last_checkpoint

        if not (self.arguments.all and path.is_dir()):
            return [last_checkpoint(path)]
        found = sorted((path / "checkpoints").glob("iter_*.pt"))
        if not found:
            raise UserError(f"{path}: has no checkpoints/iter_*.pt; without --all its last.pt is scored")
        return found

    def score_checkpoint(self, path: Path) -> list[dict[str, Any]]:
        from rgan_bench.checkpoint import config_of, generator_of, load_checkpoint

        content = load_checkpoint(path)
        config = config_of(content, path)
        generator = generator_of(content, config, path).to(self.device)
        scorer = self.scorer(self.fid(config.fid), self.reference() or config.data, config.limits)
        if scorer.data.image_size != config.data.image_size:
            raise UserError(
                f"{path}: makes images of {config.data.image_size} px, the real ones have {scorer.data.image_size} px; "
                "choose others with --data"
            )
        self.say(f"scoring {path} (iteration {content['iteration']:,})")
        scores = scorer.score(generator, config.seed)
        rows = [
            row(path, content["iteration"], name, value, scorer.protocols()[name].as_dict())
            for name, value in scores.items()
        ]
        remember(path, rows)
        return rows

    def score_images(self, path: Path) -> list[dict[str, Any]]:
        from rgan_bench.data.folder import load_images

        reference = self.reference()
        assert reference is not None  # check() saw to it
        limits = LimitsConfig(**root_defaults()["limits"])
        scorer = self.scorer(self.fid(default_fid()), reference, limits)
        images = load_images(path, scorer.data.image_size, limits, key="PATH").to(self.device)
        self.say(f"scoring {path} ({len(images):,} images)")
        rows = []
        protocols = scorer.protocols("none", len(images))
        for name, value in scorer.score_images(images).items():
            rows.append(row(path, None, name, value, protocols[name].as_dict()))
        return rows

    def fid(self, fid: FidConfig) -> FidConfig:
        """These settings, replaced by what the command line says."""
        names = ("features", "weights", "num_samples", "num_real", "batch_norm", "batch_size")
        given = {name: getattr(self.arguments, name) for name in names if getattr(self.arguments, name) is not None}
        return dataclasses.replace(fid, **given)

    def reference(self) -> Any:
        """The data config that --data means; None without --data."""
        data = self.arguments.data
        if data is None:
            return None
        if Path(data).exists():
            return FolderConfig(name="folder", root=data, image_size=None, on_corrupt="error")
        if data == "demo":
            return DemoConfig(**load_group_option("data", "demo"))
        if data == "cifar10":
            from rgan_bench.schema import Cifar10Config

            return Cifar10Config(**load_group_option("data", "cifar10"))
        known = ", ".join(option for option in group_options("data") if option != "folder")
        raise UserError(f"--data {data}: there is no such folder or .zip; give one, or one of: {known}")

    def scorer(self, fid: FidConfig, data: Any, limits: LimitsConfig) -> "Scorer":
        from rgan_bench.data import load_data
        from rgan_bench.scoring import Scorer

        data_key = repr(data)
        if data_key not in self.datasets:
            self.datasets[data_key] = load_data(data, limits).to(self.device)
        fid = dataclasses.replace(fid, every=None)  # no part of how a score is computed
        key = repr((fid, data_key))
        if key not in self.scorers:
            self.scorers[key] = Scorer(fid, self.datasets[data_key], self.device, self.say)
        return self.scorers[key]

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def default_fid() -> FidConfig:
    return FidConfig(**root_defaults()["fid"])


def row(path: Path, iteration: int | None, name: str, value: float, protocol: dict[str, Any]) -> dict[str, Any]:
    return {"path": str(path), "iteration": iteration, "score": name, "value": value, "protocol": protocol}


def remember(checkpoint: Path, rows: list[dict[str, Any]]) -> None:
    """Writes `fid.json` beside the checkpoint: the newest value for each checkpoint there and each protocol."""
    from rgan_bench.files import write_text_atomically

    path = checkpoint.with_name("fid.json")
    try:
        known = json.loads(path.read_text())
    except (OSError, ValueError):
        known = []
    entries = [{**entry, "path": checkpoint.name} for entry in rows]
    replaced = {(entry["path"], entry["protocol"]["fingerprint"]) for entry in entries}
    kept = [entry for entry in known if (entry["path"], entry["protocol"]["fingerprint"]) not in replaced]
    try:
        write_text_atomically(path, json.dumps(kept + entries, indent=2) + "\n")
    except OSError as error:
        print(f"rgan-fid: warning: cannot write {path} ({one_line(error)})", file=sys.stderr)


def print_table(rows: list[dict[str, Any]]) -> None:
    header = ("path", "iteration", "score", "value", "fakes", "real", "batch norm")
    table = [header] + [
        (
            entry["path"],
            "" if entry["iteration"] is None else f"{entry['iteration']:,}",
            score_label(entry["score"], entry["protocol"]),
            f"{entry['value']:.4g}" if abs(entry["value"]) < 1000 else f"{entry['value']:.1f}",
            f"{entry['protocol']['num_samples']:,}",
            f"{entry['protocol']['num_real']:,}",
            entry["protocol"]["batch_norm"],
        )
        for entry in rows
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    left = {0, 2, 6}
    for line in table:
        cells = (c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        print("  ".join(cells).rstrip())
    if any(entry["protocol"]["rank_deficient"] for entry in rows):
        print(RANK_DEFICIENT)
