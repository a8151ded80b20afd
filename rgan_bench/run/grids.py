"""Sample grids: 64 images from latents that stay the same throughout a run. Of points, a scatter plot."""

from pathlib import Path
from typing import BinaryIO

from torch import Tensor
from torchvision.utils import save_image

from rgan_bench.config.schema import Config
from rgan_bench.data.dataset import ImageDataset
from rgan_bench.data.points import PointDataset
from rgan_bench.files import write_atomically
from rgan_bench.run.folder import RunFolder
from rgan_bench.run.health import GRID, pairwise_sd
from rgan_bench.scoring.sampling import as_they_are, sample, to_uint8
from rgan_bench.training.state import TrainState

SCATTERED = 2000  # points of either side


def draw_grid(state: TrainState, data: ImageDataset, config: Config, folder: RunFolder, which: str = "raw") -> Path:
    """Writes the grid of the state's iteration, and notes in the state how much the images vary.

    Of points nothing is noted: their scores tell what has collapsed.

    Args:
        which: of `state.generators`. They draw from the same latents; what is noted is that of the raw one.
    """
    points = isinstance(data, PointDataset)
    count = SCATTERED if points else GRID
    (fakes,) = sample(
        state.generators()[which],
        count,
        seed=config.seed,
        purpose="grid/latent",
        batch_norm=config.fid.batch_norm,
        batch_size=count,
        stored=as_they_are if points else to_uint8,
    )
    path = folder.sample(state.iteration, which)
    path.parent.mkdir(exist_ok=True)
    if isinstance(data, PointDataset):
        write_atomically(path, lambda file: scatter(data, fakes, file))
        return path
    if which == "raw":
        state.diversity = {"iteration": state.iteration, "pixel_sd": pairwise_sd(fakes)}
    write_atomically(path, lambda file: save_image(fakes.float() / 255, file, format="png", nrow=8))
    return path


def scatter(data: PointDataset, fakes: Tensor, file: BinaryIO) -> None:
    """A PNG of fakes [N, 2, 1, 1] over real points, in a square that the data alone decides."""
    from matplotlib.figure import Figure  # takes half a second, and of images nobody needs it

    figure = Figure(figsize=(4, 4), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    for points, colour in ((data.images[:SCATTERED], "#b0b7bf"), (fakes, "#c8102e")):
        x, y = points.flatten(1).cpu().numpy().T
        axes.scatter(x, y, s=4, c=colour, alpha=0.6, linewidths=0)
    reach = 1.4 * data.modes.abs().max().item()
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axes.set_axis_off()
    # The name of matplotlib's version would change the file.
    figure.savefig(file, format="png", metadata={"Software": None})
