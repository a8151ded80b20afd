"""Sample grids: 64 images from latents that stay the same throughout a run."""

from pathlib import Path

from torchvision.utils import save_image

from rgan_bench.config.schema import Config
from rgan_bench.files import write_atomically
from rgan_bench.runs.folder import RunFolder
from rgan_bench.runs.health import GRID, pairwise_sd
from rgan_bench.scoring.sampling import sample
from rgan_bench.training.state import TrainState


def draw_grid(state: TrainState, config: Config, folder: RunFolder, which: str = "raw") -> Path:
    """Writes the grid of the state's iteration, and notes in the state how much the images vary.

    Args:
        which: of `state.generators`. They draw from the same latents; what is noted is that of the raw one.
    """
    (images,) = sample(
        state.generators()[which],
        GRID,
        seed=config.seed,
        purpose="grid/latent",
        batch_norm=config.fid.batch_norm,
        batch_size=GRID,
    )
    if which == "raw":
        state.diversity = {"iteration": state.iteration, "pixel_sd": pairwise_sd(images)}
    path = folder.sample(state.iteration, which)
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, lambda file: save_image(images.float() / 255, file, format="png", nrow=8))
    return path
