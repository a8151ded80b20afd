"""Run folders: their names, and the files in them. Imports no torch, so that finished runs are recognised at once."""

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from rgan_bench.config.identity import run_name
from rgan_bench.config.schema import Config
from rgan_bench.errors import UserError, one_line
from rgan_bench.files import append_whole, by_iteration, flush, write_text_atomically
from rgan_bench.locks import PATIENCE, held
from rgan_bench.register import Plugin


class RunFolder:
    """The files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metrics = path / "metrics.jsonl"
        self.result = path / "result.json"
        self.lock = path / ".lock"
        self.samples = path / "samples"
        self.samples_ema = path / "samples_ema"  # made where there is such a generator
        self.checkpoints = path / "checkpoints"

    @classmethod
    def of(cls, config: Config) -> "RunFolder":
        return cls(Path(config.output_root) / run_name(config))

    def samples_of(self, which: str) -> Path:
        """
        Args:
            which: of the generators, "raw" or "ema".
        """
        return self.samples_ema if which == "ema" else self.samples

    def sample(self, iteration: int, which: str = "raw") -> Path:
        return self.samples_of(which) / f"iter_{iteration:06d}.png"

    def create(self) -> None:
        """Makes the folder and shows that it can be written to.

        Raises:
            UserError: it cannot.
        """
        with self.writing():
            self.samples.mkdir(parents=True, exist_ok=True)
            self.checkpoints.mkdir(exist_ok=True)
            # Without a name where the system can: we do not hold the folder yet, and who does may clear leftovers away.
            tempfile.TemporaryFile(dir=self.checkpoints, prefix=".", suffix=".tmp").close()

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """
        Raises:
            UserError: instead of an OSError in the block.
        """
        try:
            yield
        except OSError as error:
            raise UserError(
                f"output_root={self.path.parent}: cannot write the run folder {self.path.name} ({one_line(error)}); "
                "free it, or choose another place with output_root=PATH"
            ) from error

    @contextlib.contextmanager
    def held(self, say: Callable[[str], None], *, wait: bool = False) -> Iterator[None]:
        """This process alone works in the folder.

        Raises:
            Busy: another one does, and `wait` is not set; if it is on another machine, still after two minutes.
            UserError: the folder cannot be written to.
        """
        with contextlib.ExitStack() as stack:
            with self.writing():
                stack.enter_context(held(self.lock, say, wait=wait, patience=PATIENCE))
            yield

    def read_result(self) -> dict[str, Any] | None:
        """The content of result.json; None where there is none that can be read."""
        try:
            content = json.loads(self.result.read_text())
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) else None

    def write_hydra_files(self, files: dict[str, str]) -> None:
        """
        Args:
            files: name → content of what goes into `.hydra/`.
        """
        for name, content in files.items():
            (self.path / ".hydra").mkdir(exist_ok=True)
            write_text_atomically(self.path / ".hydra" / name, content)

    def write_plugins(self, plugins: Iterable[Plugin]) -> None:
        """Their source, as it is now: they may be changed later."""
        for plugin in plugins:
            place = self.path / "plugins" / f"{Path(plugin.name).stem}-{plugin.digest[:8]}"
            for name, text in plugin.files.items():
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                write_text_atomically(place / name, text)

    def write_result(self, content: dict[str, Any]) -> None:
        write_text_atomically(self.result, json.dumps(content, indent=2) + "\n")

    def grids(self, which: str = "raw") -> list[Path]:
        """Sample grids by iteration, rising."""
        return by_iteration(self.samples_of(which), ".png")

    def append_metrics(self, entry: dict[str, Any]) -> None:
        """A line, whole or not at all: on a full disk a torn one would swallow the next.

        Raises:
            OSError: it cannot be written.
        """
        append_whole(self.metrics, (json.dumps(entry) + "\n").encode())

    def read_metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl, without any that is none."""
        lines = self.metrics.read_text(errors="replace").splitlines() if self.metrics.exists() else []
        found = []
        for line in lines:
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return [each for each in found if isinstance(each, dict)]

    def flush_metrics(self) -> None:
        """Onto the disk: after a power cut no line from before a checkpoint may be missing."""
        flush(self.metrics)

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
        for folder in (self.path, self.samples, self.samples_ema, self.path / ".hydra"):
            for path in folder.glob(".*.tmp"):
                path.unlink(missing_ok=True)
