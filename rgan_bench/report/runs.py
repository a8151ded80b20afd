"""A run, as its result.json tells of it, and which cell of the paper it is. Reading and checking is done elsewhere."""

import contextlib
import io
import json
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from PIL import Image

from rgan_bench.config.combinations import as_list, own_weights, shown
from rgan_bench.config.identity import COUNTED, NEUTRAL, identity_of
from rgan_bench.config.validate import group_options, load_group_option
from rgan_bench.files import by_iteration
from rgan_bench.scoring.protocol import HIGHER_IS_BETTER

COLLAPSED = 0.1  # of the real images' variation: below it a generator makes one picture, or nearly

# Keys that decide the averaged generator alone.
AVERAGES = {key for key in NEUTRAL if key.startswith(("ema.", "schedule.half_life."))}

STABLE, WGANGP, MOMENTUM = [0.5, 0.999], [0.5, 0.9], [0.9, 0.9]


@dataclass(frozen=True)
class Score:
    """What one run scored under one protocol.

    Attributes:
        protocol: what decides the value, as `rgan_bench.scoring.protocol` has it.
        final: (iteration, value), the last of its history.
        history: (iteration, value) of each.
        table3: min, max, mean and sd over 20k, 30k, …, 100k; None where they are not all there.
        draws: how many draws of fakes the last was made from; `final` is of the first.
        mean, sd: over these draws; None: of one.
    """

    name: str
    protocol: dict[str, Any]
    final: tuple[int, float]
    history: list[tuple[int, float]]
    table3: dict[str, float] | None = None
    draws: int = 1
    mean: float | None = None
    sd: float | None = None

    @property
    def best(self) -> tuple[int, float]:
        """(iteration, value)."""
        choose = max if self.protocol["metric"] in HIGHER_IS_BETTER else min
        return choose(self.history or [self.final], key=lambda pair: pair[1])

    def averaged(self) -> "Score":
        """With the mean over its draws in place of the first."""
        return self if self.mean is None else replace(self, final=(self.final[0], self.mean), draws=1)

    @property
    def generator(self) -> str:
        """Whose it is: "raw", that of the generator that is trained, or "ema", that of its moving average."""
        generator: str = self.protocol.get("generator", "raw")
        return generator


@dataclass(frozen=True)
class Run:
    """One run. Its texts are printable, its numbers finite.

    Attributes:
        title: its folder's name; where several folders have that name, its path.
        iteration: that it has come to.
        config: nested, with at least the keys that decide the training, rightly typed.
        scores: name → the score under the run's present protocol.
        others: scores under protocols that it had before.
        seconds: iteration at which it was scored → seconds of training until then, where they are known.
        failed: (iteration, reason) of each score that could not be had.
        diverged: (iteration, what was not finite).
        diversity: (iteration, pixel SD of the grid, that of real images).
        versions: what made it: name → value.
        images: fingerprint of the data; None: not told.
        plugins: what decides the training and comes from a plugin → digest of its source.
        generator: of the run's generators, the one whose pictures are shown: "raw" or "ema".
        rate: iterations a second of training; None: not told.
        failure: why it failed; None: it did not.
    """

    folder: Path
    title: str
    status: str
    iteration: int
    config: dict[str, Any]
    scores: dict[str, Score]
    others: list[Score] = field(default_factory=list)
    seconds: dict[int, float] = field(default_factory=dict)
    failed: list[tuple[int, str]] = field(default_factory=list)
    diverged: tuple[int, list[str]] | None = None
    diversity: tuple[int, float, float | None] | None = None
    command: str | None = None
    versions: dict[str, Any] = field(default_factory=dict)
    images: str | None = None
    plugins: dict[str, str] = field(default_factory=dict)
    generator: str = "raw"
    rate: float | None = None
    failure: str | None = None

    @property
    def averaged(self) -> bool:
        """Whether it has an averaged generator beside the one that is trained."""
        return bool(AVERAGES & set(self.identity)) or any(
            score.generator == "ema" for score in (*self.scores.values(), *self.others)
        )

    def of(self, generator: str) -> "Run":
        """The run as if this generator were its only one."""
        scores = {name: score for name, score in self.scores.items() if score.generator == generator}
        others = [score for score in self.others if score.generator == generator]
        diversity = self.diversity if generator == "raw" else None  # of the average it is not known
        return replace(self, scores=scores, others=others, diversity=diversity, generator=generator)

    @property
    def seed(self) -> int:
        seed: int = self.config["seed"]
        return seed

    @property
    def iterations(self) -> int:
        iterations: int = self.config["train"]["iterations"]
        return iterations

    @property
    def loss(self) -> str:
        """The row's name: the loss's, or spectral_sgan where table 3 has it as a row of its own."""
        name, arch = self.config["loss"]["name"], self.config["arch"]
        return (
            "spectral_sgan" if name == "sgan" and arch["spectral_norm"] and arch["name"].startswith("dcgan") else name
        )

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The settings that decide the training, the seed aside; which images, their fingerprint tells, and no path."""
        config = self.config
        found = identity_of({**config, "data": {**config["data"], "root": "/"}}, self.plugins)
        found["data"].pop("root", None)
        return found

    @cached_property
    def same_run_key(self) -> str:
        """Equal for two folders that hold one run, or copies of it: everything that decides the training, and the seed.

        The number of iterations is not among it: a run goes on.
        """
        told = (score.protocol["data"] for score in self.scores.values())
        images = self.images or next(told, self.config["data"].get("root"))
        return json.dumps([self.identity, images, self.seed], sort_keys=True)

    def final(self, score: str) -> float | None:
        """The score after the last iteration, of a finished run."""
        found = self.scores.get(score)
        return found.final[1] if found is not None and self.reaches(found) else None

    def reaches(self, score: Score) -> bool:
        """Whether the run is finished and the score is of its end."""
        return self.status == "finished" and score.final[0] >= self.iterations

    def statistic(self, score: str, name: str) -> float | None:
        """min, max, mean or sd over 20k, 30k, …, 100k; None where they are not all there."""
        found = self.scores.get(score)
        return found.table3[name] if found and found.table3 else None

    @cached_property
    def row(self) -> str:
        """The loss's name, with the choices in which the run departs from the loss of that name, if any."""
        mine = self.config["loss"]
        named = named_losses().get(mine["name"])
        if named is None:
            return self.loss
        # Keys that are younger than a run, or than its loss, are neutral there.
        neutral = {key.removeprefix("loss."): value for key, (value, _) in NEUTRAL.items() if key.startswith("loss.")}
        keys = [key for key in (*COUNTED["loss"], *neutral) if key != "penalty_weight" or mine["penalty"] != "none"]
        weights = own_weights(as_list(mine["penalty"]))
        own = {**neutral, **named, "penalty_weight": weights if isinstance(mine["penalty"], list) else weights[0]}
        chosen = {key: mine.get(key, neutral.get(key)) for key in keys}
        departures = [f"{key}={shown(value)}" for key, value in chosen.items() if value != own[key]]
        return f"{self.loss} with {', '.join(departures)}" if departures else self.loss

    @cached_property
    def cell(self) -> tuple[str, str] | None:
        """(table, setting) in the paper, by what decides the training; None where the paper has no such cell.

        An averaged generator takes no part in the training: such a run is in the cell of the run without. float32 is
        what the paper's machines computed in.

        Width, data and number of iterations are not looked at: a small rehearsal has the layout of the real thing.
        Whether a number may stand beside the paper's is decided elsewhere.
        """
        own = AVERAGES | ({"precision"} if self.identity.get("precision") == "float32" else set())
        if any(key in self.identity for key in NEUTRAL if not key.startswith("loss.") and key not in own):
            return None  # schedules, learning rates of their own, mirrored images, bfloat16: the paper has none
        arch, optim = self.config["arch"], self.config["optim"]
        adam = (optim["lr"], *optim["betas"], optim["n_d"])
        body = (arch["spectral_norm"], arch["batch_norm"], arch["activation"])
        shape = (arch["latent_dim"], arch["pac"], self.config["train"]["batch_size"])
        if arch["name"].startswith("dcgan"):
            size, spectral = f"cat{arch['image_size']}", self.loss == "spectral_sgan"
            batch = 64 if size == "cat64" and self.loss in ("sgan", "lsgan") else 32
            wanted = ((2e-4, *STABLE, 1), (spectral, "both", "default"), (128, 2 if size == "cat256" else 1, batch))
            return ("table3", size) if (adam, body, shape) == wanted else None
        if shape != (128, 1, 32):
            return None
        return {
            ((2e-4, *STABLE, 1), (True, "generator", "default")): ("table1", "stable"),
            ((1e-4, *WGANGP, 5), (True, "generator", "default")): ("table1", "wgangp"),
            ((1e-3, *STABLE, 1), (False, "both", "default")): ("table2", "lr1e-3"),
            ((1e-4, *MOMENTUM, 1), (False, "both", "default")): ("table2", "betas0.9"),
            ((1e-4, *STABLE, 1), (False, "none", "default")): ("table2", "no_bn"),
            ((1e-4, *STABLE, 1), (False, "both", "tanh")): ("table2", "tanh"),
        }.get((adam, body))

    def troubles(self) -> list[str]:
        """What a reader of its numbers must know: that it diverged, collapsed, or could not be scored."""
        found = []
        if self.diverged:
            iteration, names = self.diverged
            found.append(f"diverged at {iteration:,} ({', '.join(names)} not finite)")
        if self.diversity:
            iteration, ours, real = self.diversity
            if real and ours < COLLAPSED * real:
                found.append(
                    f"collapsed: the images of its grid at {iteration:,} hardly vary (pixel SD {ours:.3g}, "
                    f"real images {real:.3g})"
                )
        return found + [f"not scored at {iteration:,} ({reason})" for iteration, reason in self.failed]

    def grid(self) -> tuple[int, bytes] | None:
        """(iteration, PNG) of the newest sample grid that can be read."""
        return next(filter(None, map(read_grid, reversed(self._grid_files()))), None)

    def grids(self, most: int) -> list[tuple[int, bytes]]:
        """(iteration, PNG) of so many sample grids, evenly from the first to the last, as far as they can be read."""
        paths = self._grid_files()
        if len(paths) > most:
            paths = [paths[round(index * (len(paths) - 1) / (most - 1))] for index in range(most)]
        return [found for found in map(read_grid, paths) if found]

    def _grid_files(self) -> list[Path]:
        place = "samples" if self.generator == "raw" else f"samples_{self.generator}"
        return by_iteration(self.folder / place, ".png")


def read_grid(path: Path) -> tuple[int, bytes] | None:
    with contextlib.suppress(Exception):  # Pillow raises almost anything
        if path.is_file():
            content = path.read_bytes()
            Image.open(io.BytesIO(content), formats=["PNG"]).verify()
            return int(path.stem.removeprefix("iter_")), content
    return None


@cache
def named_losses() -> dict[str, dict[str, Any]]:
    """Name → choices, of every loss in `configs/loss`."""
    return {name: load_group_option("loss", name) for name in group_options("loss")}
