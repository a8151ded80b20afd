"""rgan-fid: score checkpoints, run folders, or folders of images."""

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rgan_bench import register
from rgan_bench.config.combinations import own_features
from rgan_bench.config.ranges import CHECKS
from rgan_bench.config.schema import FidConfig, LimitsConfig
from rgan_bench.config.validate import data_config, root_defaults
from rgan_bench.console import RANK_DEFICIENT, score_label
from rgan_bench.errors import UserError, full_errors_wanted, one_line, show, shown_as_one_line
from rgan_bench.plugins import load_plugins
from rgan_bench.runs.stops import interrupts_raise
from rgan_bench.scoring.fid_json import Row, remember
from rgan_bench.streams import prepare_streams

if TYPE_CHECKING:
    from rgan_bench.scoring.scorer import Scorer


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
    add("--plugins", default="", metavar="P[,P]", help="modules or files that parts of the checkpoints come from")
    add("--ema", action="store_true", help="the moving averages of the generators (ema.half_life) instead")
    add("--features", metavar="F[,F]", help=f"extractors: {', '.join(register.names('extractor'))}")
    add("--weights", metavar="FILE", help="Inception weights (default: torch-fidelity's, downloaded once)")
    add("--data", metavar="D", help="the real images: cifar10, demo, or a folder or .zip of images")
    add("--num-samples", type=int, metavar="N", help="fakes to draw from each generator")
    add("--num-real", type=int, metavar="N", help="real images (default: all)")
    add("--batch-norm", choices=("batch", "running"), help="batch: batch statistics, as the paper sampled")
    add("--batch-size", type=int, metavar="N", help="images drawn at a time")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    add("--json", action="store_true", help="print one JSON list, and nothing else, on stdout; errors are entries too")
    return parser


def run(arguments: argparse.Namespace) -> None:
    load_plugins(filter(None, arguments.plugins.split(",")))
    check(arguments)
    # What can be seen to be wrong is said before the long work starts; the other paths are scored all the same.
    refused = {path: found for path in arguments.paths if (found := attempt(path, check_path, path, arguments))}
    bench = Bench(arguments) if set(arguments.paths) - set(refused) else None
    rows: list[Row] = []
    for path in arguments.paths:
        rows += bench.rows(path) if bench is not None and path not in refused else refused[path]
    if arguments.json:
        print(json.dumps(rows, indent=2, allow_nan=False))
    elif scored := [row for row in rows if "error" not in row]:
        print_table(scored)
    if any("error" in row for row in rows):
        sys.exit(2)


def check(arguments: argparse.Namespace) -> None:
    """The ranges of `rgan-train`'s fid keys, and that the real images are there."""
    if arguments.features is not None:
        arguments.features = arguments.features.split(",")
    for option in ("features", "num_samples", "num_real", "batch_size", "device"):
        value = getattr(arguments, option)
        complaint = CHECKS["device" if option == "device" else f"fid.{option}"](value) if value is not None else None
        if complaint:
            shown = ",".join(value) if option == "features" else value
            raise UserError(f"--{option.replace('_', '-')} {shown}: {complaint}")
    reference(arguments.data)


def check_path(path: Path, arguments: argparse.Namespace) -> list[Row]:
    """That there is something, that it can be scored, and that no option is without a meaning for it.

    Raises:
        OSError, UserError: there is not.
    """
    if not path.exists():
        raise UserError(f"{path}: there is no such file or folder")
    if is_run_folder(path):
        folder = path / "checkpoints"
        if arguments.all and not any(folder.glob("iter_*.pt")):
            raise no_periodic(path)
        if not arguments.all and not any((folder / name).exists() for name in ("last.pt", "previous.pt")):
            raise UserError(f"{folder / 'last.pt'}: there is no such checkpoint")
    elif not is_checkpoint(path):
        if arguments.data is None:
            raise UserError(
                f"{path}: neither a checkpoint (.pt) nor a run folder; to score it as images, "
                "name the real ones with --data"
            )
        for option in ("num_samples", "batch_norm", "ema"):
            if getattr(arguments, option) not in (None, False):
                raise UserError(
                    f"{path}: holds images, and all of them are scored as they are; leave out "
                    f"--{option.replace('_', '-')}, which is for generators"
                )
    return []


def no_periodic(path: Path) -> UserError:
    return UserError(f"{path}: has no checkpoints/iter_*.pt; without --all its last.pt is scored")


def is_checkpoint(path: Path) -> bool:
    return path.suffix == ".pt" and not path.is_dir()


def is_run_folder(path: Path) -> bool:
    return (path / "checkpoints").is_dir()


def reference(data: str | None) -> Any:
    """The data config that --data means; None without --data.

    Raises:
        UserError: it means none.
    """
    if data is None:
        return None
    try:
        if data and Path(data).exists():
            return data_config("folder", root=data, image_size=None)
    except OSError as error:
        raise UserError(f"--data {data}: cannot be opened ({one_line(error)})") from error
    named = [name for name in register.names("dataset") if name != "folder"]
    if data in named:
        return data_config(data)
    raise UserError(f"--data {data}: there is no such folder or .zip; give one, or one of: {', '.join(named)}")


def attempt(path: Path, work: Callable[..., list[Row]], *arguments: Any) -> list[Row]:
    """The rows that `work` gives; where it fails, that is said, and a row with the error stands for them."""
    try:
        return work(*arguments)
    except Exception as error:  # one path of several: whatever is wrong with it, the others are scored
        if full_errors_wanted():
            raise
        text = one_line(error).removeprefix("PATH=")
        if not isinstance(error, UserError):
            text = f"cannot be scored ({type(error).__name__}: {text}); HYDRA_FULL_ERROR=1 shows where"
        text = text if text.startswith((f"{path}:", f"{path}/")) else f"{path}: {text}"
        show("rgan-fid", UserError(text))
        return [{"path": str(path), "error": text}]


class Bench:
    """Loads each data set and each extractor once, however many paths are scored."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        from rgan_bench.training.devices import (  # torch: only once the arguments are right
            keep_freed_memory,
            resolve_device,
        )

        interrupts_raise()
        self.arguments = arguments
        self.device = resolve_device(arguments.device)
        if self.device.type == "cpu":
            keep_freed_memory()
        self.reference = reference(arguments.data)
        self.made: dict[str, Any] = {}

    def rows(self, path: Path) -> list[Row]:
        """One an extractor, for each checkpoint that the path means, or for its images."""
        score = self.score_run if is_run_folder(path) else self.score_images
        return attempt(path, self.score_checkpoint if is_checkpoint(path) else score, path)

    def score_run(self, path: Path) -> list[Row]:
        from rgan_bench.runs.checkpoint import last_checkpoint
        from rgan_bench.runs.store import CheckpointStore

        store = CheckpointStore(path / "checkpoints", keep=None)
        checkpoints = store.periodic() if self.arguments.all else [last_checkpoint(path)]
        if not checkpoints:
            raise no_periodic(path)
        return [row for each in checkpoints for row in attempt(each, self.score_checkpoint, each)]

    def score_checkpoint(self, path: Path) -> list[Row]:
        from rgan_bench.runs.checkpoint import config_of, generator_of, load_checkpoint
        from rgan_bench.scoring.sampling import NotFinite

        content = load_checkpoint(path)
        config = config_of(content, path)
        which = "ema" if self.arguments.ema else "raw"
        generator = generator_of(content, config, path, ema=self.arguments.ema).to(self.device)
        scorer = self.scorer(self.fid(config.fid), self.reference or config.data, config.limits)
        if scorer.data.image_size != config.data.image_size:
            raise UserError(
                f"{path}: makes images of {config.data.image_size} px, the real ones have {scorer.data.image_size} px; "
                "choose others with --data"
            )
        self.say(f"scoring {path} (iteration {content['iteration']:,}{', its average' * self.arguments.ema})")
        try:
            scores = scorer.score(generator, config.seed, which)
        except NotFinite as error:
            raise UserError(f"{path}: cannot be scored: {error}") from error
        found = rows_of(path, content["iteration"], scores, scorer.protocols(which=which))
        remember(path, found, lambda text: self.say(f"rgan-fid: warning: {text}"))
        return found

    def score_images(self, path: Path) -> list[Row]:
        from rgan_bench.data.folder import load_images

        limits = LimitsConfig(**root_defaults()["limits"])
        scorer = self.scorer(self.fid(default_fid(self.reference.name)), self.reference, limits)
        images = load_images(path, scorer.data.image_size, limits, key="PATH").to(self.device)
        self.say(f"scoring {path} ({len(images):,} images)")
        return rows_of(path, None, scorer.score_images(images), scorer.protocols("none", len(images)))

    def fid(self, fid: FidConfig) -> FidConfig:
        """These settings, replaced by what the command line says."""
        names = ("features", "weights", "num_samples", "num_real", "batch_norm", "batch_size")
        given = {name: getattr(self.arguments, name) for name in names if getattr(self.arguments, name) is not None}
        fid = dataclasses.replace(fid, **given)
        if "weights" in given and "inception" not in fid.features:
            raise UserError(f"--weights is for inception, and this is scored with {', '.join(fid.features)}")
        return fid

    def scorer(self, fid: FidConfig, data: Any, limits: LimitsConfig) -> "Scorer":
        from rgan_bench.data.load import load_data
        from rgan_bench.scoring.points import make_scorer

        fid = dataclasses.replace(fid, every=None)  # no part of how a score is computed
        images = self.once(lambda: load_data(data, limits).to(self.device), data, limits)
        scorer: Scorer = self.once(lambda: make_scorer(fid, images, self.device, self.say), fid, data, limits)
        return scorer

    def once(self, make: Callable[[], Any], *key: Any) -> Any:
        """What `make` makes, or the error that it ended in: it is not tried again for each path."""
        name = repr(key)
        if name not in self.made:
            try:
                self.made[name] = make()
            except UserError as error:
                self.made[name] = error
        if isinstance(self.made[name], UserError):
            raise self.made[name]
        return self.made[name]

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def default_fid(data: str) -> FidConfig:
    return FidConfig(**{**root_defaults()["fid"], "features": own_features(data)})


def rows_of(path: Path, iteration: int | None, scores: dict[str, float], protocols: dict[str, Any]) -> list[Row]:
    if not all(map(math.isfinite, scores.values())):
        raise UserError(f"{path}: its score came out as {scores}")
    return [
        {
            "path": str(path),
            "iteration": iteration,
            "score": name,
            "value": value,
            "protocol": protocols[name].as_dict(),
        }
        for name, value in scores.items()
    ]


def print_table(rows: list[Row]) -> None:
    header = ("path", "iteration", "score", "value", "fakes", "real", "batch norm")
    table = [header] + [
        (
            entry["path"].encode(errors="backslashreplace").decode(),  # a name need not be UTF-8
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
