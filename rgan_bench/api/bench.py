"""The work of rgan-fid: one bench, on which each data set and each extractor is prepared once."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rgan_bench import register
from rgan_bench.api.options import Options, is_checkpoint, is_run_folder, no_periodic, reference
from rgan_bench.api.rows import rows_of
from rgan_bench.config.combinations import own_features
from rgan_bench.config.schema import FidConfig, LimitsConfig
from rgan_bench.config.validate import root_defaults
from rgan_bench.console import say
from rgan_bench.errors import UserError, full_errors_wanted, one_line, show
from rgan_bench.run.stops import interrupts_raise
from rgan_bench.scoring.fid_json import Row, remember

if TYPE_CHECKING:
    from rgan_bench.scoring.scorer import Scorer


class Bench:
    """Loads each data set and each extractor once, however many paths are scored."""

    def __init__(self, options: Options, *, strict: bool = False) -> None:
        """
        Args:
            options: that have been checked.
            strict: raise where a path cannot be scored, instead of a row that says so.
        """
        from rgan_bench.training.devices import (  # torch: only once the arguments are right
            keep_freed_memory,
            resolve_device,
            set_numerics,
        )
        from rgan_bench.training.slots import slot

        interrupts_raise()
        self.options, self.strict = options, strict
        with slot(options.device):  # of auto, the GPU with the fewest runs on it
            self.device = resolve_device(options.device)
        set_numerics(deterministic=False)
        if self.device.type == "cpu":
            keep_freed_memory()
        self.reference = reference(options.data)
        self.given = None
        if options.real_stats is not None:
            from rgan_bench.scoring.given import GivenStatistics

            self.given = GivenStatistics.read(options.real_stats, f"--real-stats {options.real_stats}")
        self.made: dict[str, Any] = {}

    def rows(self, path: Path) -> list[Row]:
        """One an extractor, for each checkpoint that the path means, or for its images."""
        score = self.score_run if is_run_folder(path) else self.score_images
        return self.attempt(path, self.score_checkpoint if is_checkpoint(path) else score)

    def score_run(self, path: Path) -> list[Row]:
        from rgan_bench.run.checkpoint import last_checkpoint
        from rgan_bench.run.store import CheckpointStore

        store = CheckpointStore(path / "checkpoints", keep=None)
        checkpoints = store.periodic() if self.options.all else [last_checkpoint(path)]
        if not checkpoints:
            raise no_periodic(path)
        return [row for each in checkpoints for row in self.attempt(each, self.score_checkpoint)]

    def score_checkpoint(self, path: Path) -> list[Row]:
        import torch

        from rgan_bench.run.checkpoint import config_of, generator_of, load_checkpoint
        from rgan_bench.scoring.sampling import NotFinite

        content = load_checkpoint(path)
        config = config_of(content, path)
        which = "ema" if self.options.ema else "raw"
        generator = generator_of(content, config, path, ema=self.options.ema)
        # As the run itself had it, so that images are the same to the bit. Channels last is faster by a fifth on a CPU.
        layout = torch.contiguous_format if config.accelerate == "none" else torch.channels_last
        generator = generator.to(memory_format=layout).to(self.device)
        fid = self.fid(config.fid)
        scorer = self.scorer(fid, self.reference or config.data, config.limits)
        if scorer.data.image_size not in (None, config.data.image_size):
            raise UserError(
                f"{path}: makes images of {config.data.image_size} px, the real ones have {scorer.data.image_size} px; "
                "choose others with --data"
            )
        say(f"scoring {path} (iteration {content['iteration']:,}{', its average' * self.options.ema})")
        try:
            draws = [scorer.score(generator, config.seed, which, draw) for draw in range(fid.sampling_seeds)]
        except NotFinite as error:
            raise UserError(f"{path}: cannot be scored: {error}") from error
        found = rows_of(path, content["iteration"], draws, scorer.protocols(which=which))
        remember(path, found, lambda text: say(f"rgan-fid: warning: {text}"))
        return found

    def score_images(self, path: Path) -> list[Row]:
        from rgan_bench.data.folder import load_images

        limits = LimitsConfig(**root_defaults()["limits"])
        fid = self.fid(default_fid("folder" if self.reference is None else self.reference.name))
        scorer = self.scorer(fid, self.reference, limits)
        images = load_images(path, scorer.data.image_size, limits, key="PATH").to(self.device)
        say(f"scoring {path} ({len(images):,} images)")
        return rows_of(path, None, [scorer.score_images(images)], scorer.protocols("none", len(images)))

    def fid(self, fid: FidConfig) -> FidConfig:
        """These settings, replaced by what the command line says."""
        options = {each.name: getattr(self.options, each.name, None) for each in dataclasses.fields(fid)}
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
        scorer: Scorer = self.once(lambda: make_scorer(fid, real, self.device, say), fid, data, limits)
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
        say(f"{path}: {extractor.features} statistics of {scorer.real.count:,} images of {scorer.data.name}")

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

    def attempt(self, path: Path, work: Callable[[Path], list[Row]]) -> list[Row]:
        """The rows that `work` gives; where it fails, that is said, and a row with the error stands for them."""
        try:
            return work(path)
        except Exception as error:  # one path of several: whatever is wrong with it, the others are scored
            if self.strict:
                raise
            return failure(path, error)


def takes_weights(features: str) -> bool:
    """Plugins may; of the package's own, those that know their file."""
    plugin = register.plugin_of("extractor", features)
    return plugin is not None or bool(register.attributes("extractor", features).get("mark"))


def default_fid(data: str) -> FidConfig:
    return FidConfig(**{**root_defaults()["fid"], "features": own_features(data)})


def failure(path: Path, error: Exception) -> list[Row]:
    """What is said of a path that cannot be scored, as a row; with HYDRA_FULL_ERROR the error itself."""
    if full_errors_wanted():
        raise error
    text = one_line(error).removeprefix("PATH=")
    if not isinstance(error, UserError):
        text = f"cannot be scored ({type(error).__name__}: {text}); HYDRA_FULL_ERROR=1 shows where"
    text = text if text.startswith((f"{path}:", f"{path}/")) else f"{path}: {text}"
    show("rgan-fid", UserError(text))
    return [{"path": str(path), "error": text}]
