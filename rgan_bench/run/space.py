"""How much disk a run takes, told before it starts, and refused where there is not so much."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rgan_bench.config.schema import Config
from rgan_bench.errors import UserError
from rgan_bench.files import in_words
from rgan_bench.run.folder import RunFolder
from rgan_bench.run.timetable import Timetable
from rgan_bench.training.state import TrainState

PER_TENSOR = 320  # bytes of names, checksums and alignment that a checkpoint has with each; measured: 305 to 322
PACKED = 0.6  # of a grid's pixels as a PNG; measured: 0.59 (CIFAR-10) to 0.71 (untrained generators)
SCATTER = 40_000  # bytes of a plot of points


@dataclass(frozen=True)
class Space:
    """
    Attributes:
        checkpoint: bytes of one.
        checkpoints: that there are at one time, at most, in a run that is not stopped; one that is being written
            counts, names of one file do not.
        grid: bytes of a sample grid, about.
        grids: from the first to the last.
    """

    checkpoint: int
    checkpoints: int
    grid: int
    grids: int

    @classmethod
    def of(cls, config: Config, state: TrainState) -> "Space":
        timetable, keep = Timetable(config.train, config.fid), config.train.keep
        saves = max(1, timetable.count("checkpoint"))
        # `last.pt` and `previous.pt` are the newest periodic ones, and a new one is written before one is removed.
        checkpoints = saves if keep is None else min(saves, max(2, keep) + 1)
        side = 8 * (config.data.image_size + 2) + 2
        grid = SCATTER if config.fid.features == ["points"] else int(PACKED * 3 * side**2)
        grids = timetable.count("grid") + 1 if config.train.sample_every is not None else 0  # that of iteration 0
        return cls(checkpoint_bytes(state), checkpoints, grid, grids * len(state.generators()))

    @property
    def total(self) -> int:
        return self.checkpoint * self.checkpoints + self.grid * self.grids

    def describe(self) -> str:
        many = f"at most {self.checkpoints:,} checkpoints of {in_words(self.checkpoint)} at a time"
        kept = many if self.checkpoints > 1 else "one checkpoint"
        grids = f", {self.grids:,} sample grid{'s' * (self.grids > 1)} of {in_words(self.grid)}" if self.grids else ""
        return f"about {in_words(self.total)}: {kept}{grids}"

    def check(self, folder: RunFolder) -> None:
        """Against what is free where the run folder lies, or will lie; where that is not known, it passes.

        Raises:
            UserError: there is less.
        """
        path = folder.path.absolute()
        try:
            place = next(each for each in (path, *path.parents) if each.exists())
            disk = shutil.disk_usage(place)
            held = _held(folder.checkpoints.glob("*.pt")) + _held(folder.path.glob("samples*/*.png"))
        except OSError:  # making the folder says what is the matter
            return
        # However much is there: the next checkpoint is written before an older one goes.
        needed = max(self.total - held, self.checkpoint)
        if disk.total and needed > disk.free:  # some network file systems say 0 of 0
            to_come = f", of which {in_words(needed)} are still to come" if needed < self.total else ""
            raise UserError(
                f"output_root={folder.path.parent}: this run takes {self.describe()}{to_come}; the disk there has "
                f"{in_words(disk.free)} free: free some, keep fewer (train.keep, train.checkpoint_every=null, "
                "train.sample_every), ask for fewer train.iterations, or choose another place with output_root=PATH"
            )


def checkpoint_bytes(state: TrainState) -> int:
    """Of the file that `save_checkpoint` makes of it, whether it has taken a step yet or not."""
    parameters = [*state.generator.parameters(), *state.discriminator.parameters()]
    networks = (*state.generators().values(), state.discriminator)
    kept = [each for network in networks for each in network.state_dict().values()] + list(state.memory.values())
    # Adam's: two moments of each parameter, and a counter of four bytes.
    moments = sum(2 * int(each.nbytes) + 4 for each in parameters)
    return sum(int(each.nbytes) for each in kept) + moments + PER_TENSOR * (len(kept) + 3 * len(parameters))


def _held(paths: Iterable[Path]) -> int:
    """Bytes of these files; of several names of one, once."""
    found = [path.stat() for path in paths]
    return sum({(each.st_dev, each.st_ino): each.st_size for each in found}.values())
