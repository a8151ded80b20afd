"""result.json files, and which cell of the paper each is."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from rgan_bench.config import group_options, load_group_option
from rgan_bench.errors import UserError

COLLAPSED = 0.1  # of the real images' variation: below it a generator makes one picture, or nearly

STABLE, WGANGP, MOMENTUM = [0.5, 0.999], [0.5, 0.9], [0.9, 0.9]


@dataclass(frozen=True)
class Run:
    """One run, as its result.json tells of it."""

    folder: Path
    result: dict[str, Any]

    @property
    def config(self) -> dict[str, Any]:
        return self.result["config"]

    @property
    def seed(self) -> int:
        return self.config["seed"]

    @property
    def status(self) -> str:
        return self.result["status"]

    @property
    def iterations(self) -> int:
        return self.config["train"]["iterations"]

    @property
    def loss(self) -> str:
        """The row's name: the loss's, or spectral_sgan where table 3 has it as a row of its own."""
        name, arch = self.config["loss"]["name"], self.config["arch"]
        return "spectral_sgan" if name == "sgan" and arch["spectral_norm"] and arch["name"] != "cnn32" else name

    def final(self, score: str) -> float | None:
        """The score after the last iteration, of a finished run."""
        summary = self.result["scores"].get(score)
        if summary is None or self.status != "finished" or summary["final"]["iteration"] < self.iterations:
            return None
        return summary["final"]["value"]

    def statistic(self, score: str, name: str) -> float | None:
        """min, max, mean or sd over 20k, 30k, …, 100k; None where they are not all there."""
        summary = self.result["scores"].get(score)
        table3 = summary.get("table3") if summary else None
        return table3[name] if table3 and table3["complete"] else None

    @cached_property
    def row(self) -> str:
        """The loss's name, with the choices in which the run departs from the loss of that name, if any."""
        mine = self.config["loss"]
        named = named_losses().get(mine["name"])
        if named is None:
            return self.loss
        keys = ["comparison", "function", "generator", "penalty"]
        keys += ["penalty_weight"] * (mine["penalty"] != "none")
        departures = [f"{key}={mine[key]}" for key in keys if mine[key] != named[key]]
        return f"{self.loss} with {', '.join(departures)}" if departures else self.loss

    @cached_property
    def cell(self) -> tuple[str, str] | None:
        """(table, setting) in the paper, by what decides the training; None where the paper has no such cell.

        Width, data and number of iterations are not looked at: a small rehearsal has the layout of the real thing.
        Whether a number may stand beside the paper's is decided elsewhere.
        """
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
        diverged, diversity = self.result.get("diverged"), self.result.get("diversity")
        if diverged:
            found.append(f"diverged at {diverged['iteration']:,} ({', '.join(diverged['not_finite'])} not finite)")
        if diversity and diversity["real_pixel_sd"] and diversity["pixel_sd"] < COLLAPSED * diversity["real_pixel_sd"]:
            found.append(
                f"collapsed: the images of its grid at {diversity['iteration']:,} hardly vary (pixel SD "
                f"{diversity['pixel_sd']:.3g}, real images {diversity['real_pixel_sd']:.3g})"
            )
        for failed in self.result.get("failed_scores", []):
            found.append(f"not scored at {failed['iteration']:,} ({failed['reason']})")
        return found

    def grid(self) -> Path | None:
        """The newest sample grid."""
        return max((self.folder / "samples").glob("iter_*.png"), default=None)


@cache
def named_losses() -> dict[str, dict[str, Any]]:
    """Name → choices, of every loss in `configs/loss`."""
    return {name: load_group_option("loss", name) for name in group_options("loss")}


def find_runs(places: Iterable[Path]) -> list[Run]:
    """Every run at or below these folders, in the order of their names.

    Raises:
        UserError: a place is not there, a result.json is not one, or there is none.
    """
    places = list(places)
    runs = {}
    for place in places:
        if not place.exists():
            raise UserError(f"{place}: there is no such folder; name folders that hold runs")
        for path in sorted([place] if place.name == "result.json" else place.rglob("result.json")):
            try:
                content = json.loads(path.read_text())
                run = Run(path.parent, {**content, "scores": content["scores"]})
                run.loss, run.seed, run.status, run.iterations, content["protocol"]
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise UserError(f"{path}: not a result of rgan-train ({type(error).__name__}: {error})") from error
            runs[path.resolve()] = run
    if not runs:
        raise UserError(f"{' '.join(map(str, places))}: no result.json in there; rgan-train makes them")
    return list(runs.values())
