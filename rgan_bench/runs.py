"""Run folders: their names, and the files in them. Imports no torch, so that finished runs are recognised at once."""

import contextlib
import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rgan_bench.errors import UserError, one_line
from rgan_bench.files import write_text_atomically
from rgan_bench.schema import Config


def identity(config: Config) -> dict[str, Any]:
    """Exactly the settings that change the trained weights, the seed aside (which folder names show by itself).

    Not among them: names, the number of iterations, cadences, scoring, the device, where downloads are kept.
    """
    loss = asdict(config.loss)
    del loss["name"]
    if loss["penalty"] == "none":
        del loss["penalty_weight"]
    data = asdict(config.data)
    if config.data.name == "folder":
        data["root"] = str(Path(config.data.root).resolve())  # which images: two paths, two data sets
        del data["on_corrupt"]
    else:
        data.pop("root", None)
    arch = asdict(config.arch)
    return {
        "loss": loss,
        "arch": arch,
        "data": data,
        "optim": asdict(config.optim),
        "batch_size": config.train.batch_size,
    }


def run_name(config: Config) -> str:
    """<data>_<arch>_<loss>_<hash>_seed<seed>."""
    digest = hashlib.sha256(json.dumps(identity(config), sort_keys=True).encode()).hexdigest()[:8]
    return f"{config.data.name}_{config.arch.name}_{config.loss.name}_{digest}_seed{config.seed}"


class RunFolder:
    """The files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metrics = path / "metrics.jsonl"
        self.result = path / "result.json"
        self.lock = path / ".lock"
        self.samples = path / "samples"
        self.checkpoints = path / "checkpoints"

    @classmethod
    def of(cls, config: Config) -> "RunFolder":
        return cls(Path(config.output_root) / run_name(config))

    def sample(self, iteration: int) -> Path:
        return self.samples / f"iter_{iteration:06d}.png"

    def create(self) -> None:
        """Makes the folder and shows that it can be written to.

        Raises:
            UserError: it cannot.
        """
        try:
            self.samples.mkdir(parents=True, exist_ok=True)
            self.checkpoints.mkdir(exist_ok=True)
            write_text_atomically(self.checkpoints / ".writable", "")
            (self.checkpoints / ".writable").unlink()
        except OSError as error:
            raise UserError(
                f"output_root={self.path.parent}: cannot write the run folder {self.path.name} ({one_line(error)}); "
                "free it, or choose another place with output_root=PATH"
            ) from error

    def read_result(self) -> dict[str, Any] | None:
        """The content of result.json; None where there is none that can be read."""
        try:
            content = json.loads(self.result.read_text())
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) else None

    def finished_result(self, iterations: int) -> dict[str, Any] | None:
        """The result of a run that has come to so many iterations and ended well; None of any other."""
        result = self.read_result()
        done = result is not None and result.get("status") == "finished" and result.get("iteration", 0) >= iterations
        return result if done else None

    def write_result(self, content: dict[str, Any]) -> None:
        write_text_atomically(self.result, json.dumps(content, indent=2) + "\n")

    def append_metrics(self, entry: dict[str, Any]) -> None:
        with self.metrics.open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def flush_metrics(self) -> None:
        """Onto the disk: after a power cut no line from before a checkpoint may be missing."""
        if self.metrics.exists():
            with self.metrics.open("a") as file:
                os.fsync(file.fileno())

    def trim_metrics(self, iteration: int) -> None:
        """Drops the lines after an iteration: a resumed run writes them again. Anything that is no line goes too."""
        if not self.metrics.exists():
            return
        kept = []
        for line in self.metrics.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):  # half a line: killed while it was written
                if json.loads(line)["iteration"] <= iteration:
                    kept.append(line + "\n")
        write_text_atomically(self.metrics, "".join(kept))

    def clear_leftovers(self) -> None:
        """Removes what a process that was killed had not finished writing. The folder must be held."""
        for folder in (self.path, self.samples, self.path / ".hydra"):
            for path in folder.glob(".*.tmp"):
                path.unlink(missing_ok=True)
