"""The checkpoints of one run folder: which are kept, and which one a run goes on from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rgan_bench.errors import UserError, one_line
from rgan_bench.files import by_iteration
from rgan_bench.run.checkpoint import Damaged, load_checkpoint, save_checkpoint


class CheckpointStore:
    """`last.pt`, `previous.pt` (what was the last before it), and the periodic `iter_NNNNNN.pt`.

    Args:
        folder: that holds them.
        keep: so many periodic ones, the newest; None: all.
    """

    def __init__(self, folder: Path, keep: int | None, say: Callable[[str], None] = lambda text: None) -> None:
        self.folder, self.keep, self.say = folder, keep, say
        self.last, self.previous = folder / "last.pt", folder / "previous.pt"

    def periodic(self) -> list[Path]:
        """By iteration, rising."""
        return by_iteration(self.folder, ".pt")

    def periodic_path(self, iteration: int) -> Path:
        return self.folder / f"iter_{iteration:06d}.pt"

    def save_last(self, content: dict[str, Any]) -> None:
        """Writes `last.pt`; what it was becomes `previous.pt`. At every moment one of the two is whole.

        Raises:
            UserError: no space, no permission; the earlier checkpoints are as they were.
        """
        try:
            save_checkpoint(self.last, content, previous=self.previous)
        except OSError as error:
            raise self._cannot_save(content["iteration"], error) from error

    def save_periodic(self, content: dict[str, Any]) -> None:
        """Writes the file of this iteration, and removes the oldest ones beyond `keep`.

        Raises:
            UserError: no space, no permission.
        """
        try:
            if self.keep != 0:
                save_checkpoint(self.periodic_path(content["iteration"]), content)
            if self.keep is not None:
                for path in self.periodic()[: max(0, len(self.periodic()) - self.keep)]:
                    path.unlink()
        except OSError as error:
            raise self._cannot_save(content["iteration"], error) from error

    def load_newest(self) -> tuple[Path, dict[str, Any]] | None:
        """The newest whole checkpoint and where it stands; None where there is none at all.

        Damaged ones that come before it are named, and set aside as `NAME.damaged`.

        Raises:
            UserError: there are checkpoints, and none of them is whole or may be read.
        """
        damaged: dict[Path, Damaged] = {}
        for path in (self.last, self.previous, *reversed(self.periodic())):
            if not path.exists():
                continue
            try:
                content = load_checkpoint(path)
            except Damaged as error:
                damaged[path] = error
                continue
            for broken, reason in damaged.items():
                aside = broken.with_name(f"{broken.name}.damaged")
                broken.replace(aside)
                self.say(f"{one_line(reason)}; set aside as {aside.name}, going on from {path.name}")
            return path, content
        if damaged:
            first, *others = damaged.values()
            also = f", and so are {len(others)} others" if others else ""
            raise UserError(f"{one_line(first)}{also}; move {self.folder.parent} away to start anew")
        return None

    def clear_leftovers(self) -> None:
        """Removes what a process that was killed had not finished writing. The run folder must be held."""
        for path in (*self.folder.glob(".last.pt.*"), *self.folder.glob(".iter_*.tmp")):
            path.unlink(missing_ok=True)

    def _cannot_save(self, iteration: int, error: OSError) -> UserError:
        return UserError(
            f"{self.folder}: cannot save iteration {iteration} ({one_line(error)}); "
            "free some space and call the same command again: it continues from the last checkpoint"
        )
