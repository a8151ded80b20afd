"""The checkpoints of one run folder: which are kept, and which one a run goes on from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rgan_bench.errors import UserError, one_line
from rgan_bench.files import by_iteration, iteration_of, link_atomically
from rgan_bench.run.checkpoint import Damaged, load_checkpoint, save_checkpoint


class CheckpointStore:
    """`last.pt`, `previous.pt` (what was the last before it), and the periodic `iter_NNNNNN.pt`.

    Args:
        folder: that holds them.
        keep: so many periodic ones, the newest; None: all.

    Attributes:
        spared: periodic ones up to this iteration are of sessions that kept all, and do not count.
    """

    def __init__(self, folder: Path, keep: int | None, say: Callable[[str], None] = lambda text: None) -> None:
        self.folder, self.keep, self.say = folder, keep, say
        self.last, self.previous = folder / "last.pt", folder / "previous.pt"
        self.spared = 0

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
        """Gives `last.pt`, which holds this content, the name of its iteration, too, and removes the oldest such names
        beyond `keep`.

        Raises:
            UserError: no space, no permission.
        """
        path = self.periodic_path(content["iteration"])
        try:
            if self.keep != 0:
                try:
                    link_atomically(path, self.last)
                except (OSError, NotImplementedError, AttributeError):  # no links there: a file of its own
                    save_checkpoint(path, content)
            if self.keep is not None:
                counted = [each for each in self.periodic() if iteration_of(each) > self.spared]
                for each in counted[: max(0, len(counted) - self.keep)]:
                    each.unlink()
        except OSError as error:
            raise self._cannot_save(content["iteration"], error) from error

    def spare(self, content: dict[str, Any]) -> None:
        """What earlier sessions meant to keep, stays: `train.keep` was null by default once. Says so where that begins.

        Args:
            content: of the checkpoint that the run goes on from.
        """
        train, spared = content["config"].get("train"), content.get("spared")
        self.spared = spared if type(spared) is int else 0
        if isinstance(train, dict) and train.get("keep", 0) is None:
            there = self.periodic()
            self.spared = iteration_of(there[-1]) if there else 0
            if self.keep is not None and len(there) > self.keep:
                self.say(
                    f"train.keep={self.keep}: holds from here on; the {len(there)} checkpoints from before stay in "
                    f"{self.folder}, where you may remove them"
                )

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
