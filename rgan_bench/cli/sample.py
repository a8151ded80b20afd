"""rgan-sample: what comes after a run, from its generator: images, grids, interpolations, films, exports."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from rgan_bench.cli.arguments import add_version
from rgan_bench.cli.sample_jobs import Job, jobs_of
from rgan_bench.console import counted, say
from rgan_bench.errors import UserError, full_errors_wanted, one_line, show, shown_as_one_line
from rgan_bench.files import reason
from rgan_bench.plugins import load_plugins
from rgan_bench.run.stops import interrupts_raise
from rgan_bench.streams import prepare_streams

if TYPE_CHECKING:
    from rgan_bench.generators.images import Trained

NUM = 1000  # images, where no number is asked for
POINTS = 2000  # of a scatter plot
STEPS = 12
FEW = 10  # checkpoints, of which a film is short


def main() -> None:
    prepare_streams(tolerant=False)
    with shown_as_one_line("rgan-sample"):
        run(parser().parse_args())


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rgan-sample",
        description="Images, pictures, films and exports of trained generators. The same seed gives the same images.",
    )
    add = parser.add_argument
    what = "a checkpoint, a run folder (its last checkpoint), or a .safetensors file from --export"
    add("paths", nargs="*", type=Path, metavar="PATH", help=what)
    add("--out", type=Path, metavar="DIR|FILE", help="a folder or .zip of PNGs, a .npz (arr_0), or a .png (--grid, "
        "--interpolate); of several PATHs a folder, in which each has its own")  # fmt: skip
    add("--num", type=int, metavar="N", help=f"images (default: {NUM:,})")
    add("--grid", metavar="ROWSxCOLS", help="one picture of so many images; of films, each frame")
    add("--interpolate", type=int, metavar="N",
        help="one picture of N rows, each between two latents; with --video a film over N latents")  # fmt: skip
    add("--steps", type=int, metavar="K", help=f"of each interpolation (default: {STEPS})")
    add("--video", type=Path, metavar="FILE",
        help="a .gif or .webp: with --all the training, with --interpolate the way between latents")  # fmt: skip
    add("--all", action="store_true", help="of a run folder, every checkpoint")
    add("--export", type=Path, metavar="FILE", help="the generator alone: .safetensors or .onnx")
    add("--seed", type=int, metavar="S", help="decides the latents (default: 0)")
    add("--batch-norm", choices=("batch", "running"), default="batch",
        help="batch: batch statistics, as the paper sampled (default)")  # fmt: skip
    add("--ema", action="store_true", help="the moving average of the generator (ema.half_life) instead")
    add("--plugins", default="", metavar="P[,P]", help="modules or files that the network comes from")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    add("--force", action="store_true", help="overwrite what is there; of a folder, its numbered PNGs")
    add_version(parser)
    return parser


def run(arguments: argparse.Namespace) -> None:
    load_plugins(filter(None, arguments.plugins.split(",")))
    jobs = jobs_of(arguments)
    maker = Maker(arguments)
    failed = False
    for job in jobs:
        try:
            maker.make(job)
        except UserError as error:  # one of several: the others are made
            if len(jobs) == 1 or full_errors_wanted():
                raise
            show("rgan-sample", error)
            failed = True
    if failed:
        sys.exit(2)


class Maker:
    """Makes what jobs ask for."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        if "torch" not in sys.modules:
            tell("loading PyTorch")
        from rgan_bench.training.devices import resolve_device  # torch: only once the arguments are right
        from rgan_bench.training.slots import slot

        interrupts_raise()
        self.arguments = arguments
        self.seed = arguments.seed or 0
        self.steps = arguments.steps or STEPS
        device = "cpu" if arguments.export else arguments.device
        with slot(device):  # of auto, the GPU with the fewest runs on it
            self.device = resolve_device(device)

    def make(self, job: Job) -> None:
        """
        Raises:
            UserError: something is wrong with the checkpoint, or its target cannot be written.
        """
        make = {
            "images": self.images,
            "a grid": self.picture,
            "interpolations": self.picture,
            "a film of interpolations": self.interpolation_film,
            "a film of a training": self.training_film,
            "an export": self.export,
        }[job.what]
        try:
            if job.what != "images":
                job.target.parent.mkdir(parents=True, exist_ok=True)
            made = make(job)
        except OSError as error:
            raise UserError(f"{job.target}: cannot be written ({reason(error)})") from error
        except Exception as error:  # memory that is too small, a plugin's network
            if isinstance(error, UserError) or full_errors_wanted():
                raise
            text = (
                f"cannot be sampled ({type(error).__name__}: {one_line(error)[:200]}); HYDRA_FULL_ERROR=1 shows where"
            )
            raise UserError(f"{job.sources[-1]}: {text}") from error
        tell(f"{job.target}: {made}")

    def open(self, path: Path, *, standing: bool = False, quiet: bool = False) -> "Trained":
        """
        Args:
            standing: whether each image will depend on its latent alone.
        """
        from rgan_bench.generators.images import open_trained

        arguments = self.arguments
        trained = open_trained(path, batch_norm=arguments.batch_norm, ema=arguments.ema, device=self.device)
        if not quiet:
            average = ", its average" * arguments.ema
            normalisation = trained.normalisation(standing=standing)
            tell(
                f"{trained.path} (iteration {trained.iteration:,}{average}){': ' * bool(normalisation)}{normalisation}"
            )
        return trained

    def images(self, job: Job) -> str:
        from rgan_bench.generators.images import draw
        from rgan_bench.generators.packed import write_folder, write_npz, write_zip

        trained, num = self.open(job.sources[0]), self.arguments.num or NUM
        if trained.of_points and job.target.suffix != ".npz":
            raise UserError(
                f"{trained.path}: makes points, and no images; --out FILE.npz holds them, --out FILE.png draws them"
            )
        batches = counted(draw(trained, num, self.seed), num, "sampling")
        if job.target.suffix == ".npz":
            write_npz(job.target, batches, num)
        elif job.target.suffix == ".zip":
            write_zip(job.target, batches, num)
        else:
            write_folder(job.target, batches, num, tell)
        return f"{num:,} {'point' if trained.of_points else 'image'}{'s' * (num != 1)}"

    def picture(self, job: Job) -> str:
        from rgan_bench.generators import pictures

        interpolate = self.arguments.interpolate
        trained = self.open(job.sources[0], standing=interpolate is not None)
        if interpolate is None:
            rows, columns = self.size(trained, job)
            picture, made = pictures.sampled_grid(trained, rows, columns, self.seed), f"{rows} × {columns} images"
        else:
            no_points(trained)
            picture = pictures.interpolation_grid(trained, interpolate, self.steps, self.seed)
            made = f"{interpolate} interpolations of {self.steps} steps"
        pictures.write_picture(job.target, picture)
        return f"{rows:,} points" if trained.of_points else made

    def interpolation_film(self, job: Job) -> str:
        from rgan_bench.generators import pictures

        trained, count = self.open(job.sources[0], standing=True), self.arguments.interpolate
        no_points(trained)
        film = pictures.interpolation_film(trained, count, self.steps, *self.size(trained, job), self.seed)
        frames = with_bar(film, count * self.steps)
        pictures.write_film(job.target, frames, [pictures.INTERPOLATION_MS] * len(frames))
        return f"{len(frames)} frames over {count} latents"

    def training_film(self, job: Job) -> str:
        from rgan_bench.generators import pictures

        last = self.open(job.sources[-1])
        train = last.config.train
        if train.keep is not None and len(job.sources) >= train.keep:
            tell(
                f"the run kept its last {len(job.sources)} checkpoints (train.keep={train.keep}); "
                "for a film of a whole training, train another with train.keep=null"
            )
        elif len(job.sources) < FEW:
            tell(
                f"{len(job.sources)} checkpoints make a short film (train.checkpoint_every={train.checkpoint_every}); "
                "for a longer one, train with a smaller train.checkpoint_every"
            )
        size = self.size(last, job)
        film = (pictures.training_frame(self.open(path, quiet=True), *size, self.seed) for path in job.sources)
        frames = with_bar(film, len(job.sources))
        pictures.write_film(job.target, frames, pictures.training_durations(len(frames)))
        return f"{len(frames)} frames to iteration {last.iteration:,}"

    def export(self, job: Job) -> str:
        from rgan_bench.generators.export import export

        trained = self.open(job.sources[0])
        checked = export(trained, job.target)
        if trained.normalisation() and trained.batch_norm == "batch" and job.target.suffix == ".onnx":
            tell(
                f"an image depends on its batch: give it {trained.batch_size} latents at a time, or export with "
                "--batch-norm running"
            )
        return f"the generator, {checked}"

    def size(self, trained: "Trained", job: Job) -> tuple[int, int]:
        """Rows and columns; of points their number, and 1.

        Raises:
            UserError: --grid of points, or neither --grid nor points.
        """
        if trained.of_points:
            if self.arguments.grid is not None:
                raise UserError(
                    f"--grid {self.arguments.grid}: {trained.path} makes points, of which a scatter plot is drawn; "
                    "leave it out (--num says how many)"
                )
            return self.arguments.num or POINTS, 1
        if job.size is None or self.arguments.num is not None:
            raise UserError(f"{job.target}: how many images shall the picture show? Add --grid ROWSxCOLS, not --num")
        return job.size


def no_points(trained: "Trained") -> None:
    if trained.of_points:
        raise UserError(f"{trained.path}: makes points, and --interpolate is for images; leave it out")


def with_bar(frames: Iterable[Any], total: int) -> list[Any]:
    return list(tqdm(frames, total=total, desc="frames", unit="frame", leave=False, disable=None))


def tell(text: str) -> None:
    say(f"rgan-sample: {text}")
