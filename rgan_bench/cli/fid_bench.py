"""The work of rgan-fid: one bench, on which each data set and each extractor is prepared once."""

import argparse
import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rgan_bench import register
from rgan_bench.cli.fid_rows import rows_of
from rgan_bench.config.combinations import own_features
from rgan_bench.config.schema import FidConfig, LimitsConfig
from rgan_bench.config.validate import data_config, root_defaults
from rgan_bench.errors import UserError, full_errors_wanted, one_line, show
from rgan_bench.run.stops import interrupts_raise
from rgan_bench.scoring.fid_json import Row, remember

if TYPE_CHECKING:
    from rgan_bench.scoring.scorer import Scorer


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
        self.given = None
        if arguments.real_stats is not None:
            from rgan_bench.scoring.given import GivenStatistics

            self.given = GivenStatistics.read(arguments.real_stats, f"--real-stats {arguments.real_stats}")
        self.made: dict[str, Any] = {}

    def rows(self, path: Path) -> list[Row]:
        """One an extractor, for each checkpoint that the path means, or for its images."""
        score = self.score_run if is_run_folder(path) else self.score_images
        return attempt(path, self.score_checkpoint if is_checkpoint(path) else score, path)

    def score_run(self, path: Path) -> list[Row]:
        from rgan_bench.run.checkpoint import last_checkpoint
        from rgan_bench.run.store import CheckpointStore

        store = CheckpointStore(path / "checkpoints", keep=None)
        checkpoints = store.periodic() if self.arguments.all else [last_checkpoint(path)]
        if not checkpoints:
            raise no_periodic(path)
        return [row for each in checkpoints for row in attempt(each, self.score_checkpoint, each)]

    def score_checkpoint(self, path: Path) -> list[Row]:
        from rgan_bench.run.checkpoint import config_of, generator_of, load_checkpoint
        from rgan_bench.scoring.sampling import NotFinite

        content = load_checkpoint(path)
        config = config_of(content, path)
        which = "ema" if self.arguments.ema else "raw"
        generator = generator_of(content, config, path, ema=self.arguments.ema).to(self.device)
        fid = self.fid(config.fid)
        scorer = self.scorer(fid, self.reference or config.data, config.limits)
        if scorer.data.image_size not in (None, config.data.image_size):
            raise UserError(
                f"{path}: makes images of {config.data.image_size} px, the real ones have {scorer.data.image_size} px; "
                "choose others with --data"
            )
        self.say(f"scoring {path} (iteration {content['iteration']:,}{', its average' * self.arguments.ema})")
        try:
            draws = [scorer.score(generator, config.seed, which, draw) for draw in range(fid.sampling_seeds)]
        except NotFinite as error:
            raise UserError(f"{path}: cannot be scored: {error}") from error
        found = rows_of(path, content["iteration"], draws, scorer.protocols(which=which))
        remember(path, found, lambda text: self.say(f"rgan-fid: warning: {text}"))
        return found

    def score_images(self, path: Path) -> list[Row]:
        from rgan_bench.data.folder import load_images

        limits = LimitsConfig(**root_defaults()["limits"])
        fid = self.fid(default_fid("folder" if self.reference is None else self.reference.name))
        scorer = self.scorer(fid, self.reference, limits)
        images = load_images(path, scorer.data.image_size, limits, key="PATH").to(self.device)
        self.say(f"scoring {path} ({len(images):,} images)")
        return rows_of(path, None, [scorer.score_images(images)], scorer.protocols("none", len(images)))

    def fid(self, fid: FidConfig) -> FidConfig:
        """These settings, replaced by what the command line says."""
        options = {each.name: getattr(self.arguments, each.name, None) for each in dataclasses.fields(fid)}
        given = {name: value for name, value in options.items() if value is not None}
        fid = dataclasses.replace(fid, **given)
        readers = [name for name in register.names("extractor") if takes_weights(name)]
        if "weights" in given and not set(readers) & set(fid.features):
            raise UserError(f"--weights is for {', '.join(readers)}, and this is scored with {', '.join(fid.features)}")
        if self.given is not None:
            self.given.check(fid.features, fid.metrics)
        return fid

    def scorer(self, fid: FidConfig, data: Any, limits: LimitsConfig) -> "Scorer":
        from rgan_bench.data.load import load_data
        from rgan_bench.scoring.points import make_scorer

        fid = dataclasses.replace(fid, every=None)  # no part of how a score is computed
        real = self.given or self.once(lambda: load_data(data, limits, fid.cache_dir).to(self.device), data, limits)
        scorer: Scorer = self.once(lambda: make_scorer(fid, real, self.device, self.say), fid, data, limits)
        return scorer

    def write_real_statistics(self, path: Path) -> None:
        """What --data and --features give, as `--real-stats` and other tools read it."""
        from rgan_bench.scoring.given import write

        limits = LimitsConfig(**root_defaults()["limits"])
        scorer = self.scorer(self.fid(default_fid(self.reference.name)), self.reference, limits)
        (extractor,) = scorer.extractors
        try:
            write(path, scorer.real_statistics(extractor, keep_features=False))
        except OSError as error:
            raise UserError(f"--write-real-stats {path}: cannot be written ({one_line(error)})") from error
        self.say(f"{path}: {extractor.features} statistics of {scorer.real.count:,} images of {scorer.data.name}")

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


def takes_weights(features: str) -> bool:
    """Plugins may; of the package's own, those that know their file."""
    plugin = register.plugin_of("extractor", features)
    return plugin is not None or bool(register.attributes("extractor", features).get("mark"))


def default_fid(data: str) -> FidConfig:
    return FidConfig(**{**root_defaults()["fid"], "features": own_features(data)})


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
