"""What rgan-fid can be told, and what is wrong with it. Imports no torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rgan_bench import register
from rgan_bench.config.ranges import CHECKS
from rgan_bench.config.validate import data_config
from rgan_bench.errors import UserError, one_line

# Options that say how generators are sampled.
GENERATORS = ("num_samples", "batch_norm", "sampling_seeds")
LISTS = ("features", "metrics")


@dataclass
class Options:
    """The options of `rgan-fid`. What is None is as each checkpoint's own config has it; of images, the default.

    Attributes:
        data: the real images: a data set's name, or a folder or .zip of images.
        real_stats: a .npz of mu and sigma in place of real images.
        features: extractors.
        metrics: what is computed from their features.
        weights: file of weights of inception or dinov2.
        num_samples: fakes to draw from each generator.
        sampling_seeds: draw each score so many times, for its mean and SD.
        num_real: real images.
        batch_norm: "batch" (statistics of each batch, as the paper sampled) or "running".
        batch_size: images drawn at a time.
        device: auto, cpu, cuda or cuda:N.
        ema: the moving averages of the generators instead.
        all: of a run folder, every checkpoint.
    """

    data: str | None = None
    real_stats: Path | None = None
    features: list[str] | None = None
    metrics: list[str] | None = None
    weights: str | None = None
    num_samples: int | None = None
    sampling_seeds: int | None = None
    num_real: int | None = None
    batch_norm: str | None = None
    batch_size: int | None = None
    device: str = "auto"
    ema: bool = False
    all: bool = False


def named(option: str) -> str:
    return f"--{option.replace('_', '-')}"


def check(options: Options) -> None:
    """The ranges of `rgan-train`'s fid keys, that the real images are there, and what options mean together.

    Raises:
        UserError: something is wrong.
    """
    for option in (*LISTS, "num_samples", "num_real", "batch_size", "batch_norm", "sampling_seeds", "device"):
        value = getattr(options, option)
        complaint = CHECKS["device" if option == "device" else f"fid.{option}"](value) if value is not None else None
        if complaint:
            shown = ",".join(map(str, value)) if option in LISTS else value
            raise UserError(f"{named(option)} {shown}: {complaint}")
    reference(options.data)
    for option in ("data", "num_real"):
        if options.real_stats is not None and getattr(options, option) is not None:
            raise UserError(
                f"--real-stats {options.real_stats}: stands in place of real images; leave out {named(option)}"
            )


def check_path(path: Path, options: Options) -> None:
    """That there is something, that it can be scored, and that no option is without a meaning for it.

    Raises:
        OSError, UserError: there is not.
    """
    if not path.exists():
        raise UserError(f"{path}: there is no such file or folder")
    if is_run_folder(path):
        folder = path / "checkpoints"
        if options.all and not any(folder.glob("iter_*.pt")):
            raise no_periodic(path)
        if not options.all and not any((folder / name).exists() for name in ("last.pt", "previous.pt")):
            raise UserError(f"{folder / 'last.pt'}: there is no such checkpoint")
    elif not is_checkpoint(path):
        if options.data is None and options.real_stats is None:
            raise UserError(
                f"{path}: neither a checkpoint (.pt) nor a run folder; to score it as images, "
                "name the real ones with --data"
            )
        for option in (*GENERATORS, "ema"):
            if getattr(options, option) not in (None, False):
                raise UserError(
                    f"{path}: holds images, and all of them are scored as they are; leave out "
                    f"{named(option)}, which is for generators"
                )


def no_periodic(path: Path) -> UserError:
    return UserError(f"{path}: has no checkpoints/iter_*.pt; without --all its last.pt is scored")


def is_checkpoint(path: Path) -> bool:
    return path.suffix == ".pt" and not path.is_dir()


def is_run_folder(path: Path) -> bool:
    return (path / "checkpoints").is_dir()


def reference(data: str | None) -> Any:
    """The data config that --data means; None without --data.

    Raises:
        UserError: it means none.
    """
    if data is None:
        return None
    try:
        if data and Path(data).exists():
            return data_config("folder", root=data, image_size=None)
    except OSError as error:
        raise UserError(f"--data {data}: cannot be opened ({one_line(error)})") from error
    named = [name for name in register.names("dataset") if name != "folder"]
    if data in named:
        return data_config(data)
    raise UserError(f"--data {data}: there is no such folder or .zip; give one, or one of: {', '.join(named)}")
