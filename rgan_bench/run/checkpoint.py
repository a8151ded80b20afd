"""Checkpoint files: one file of tensors and primitives each, written atomically, loaded without running code."""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from rgan_bench.config.identity import plugins_used
from rgan_bench.config.schema import Config
from rgan_bench.config.validate import root_defaults, validate
from rgan_bench.errors import UserError, one_line
from rgan_bench.files import write_atomically
from rgan_bench.gan.networks import build_networks
from rgan_bench.plugins import load_plugins
from rgan_bench.run.exported import load_exported
from rgan_bench.scoring.sampling import set_batch_norm

FORBIDDEN = (PermissionError, IsADirectoryError)  # the file may be good: nothing to be said against its content
KEYS = ("iteration", "generator", "discriminator", "generator_optimizer", "discriminator_optimizer", "config")


def save_checkpoint(path: Path, content: dict[str, Any], *, previous: Path | None = None) -> None:
    """
    Args:
        previous: what an older file at `path` is renamed to.

    Raises:
        OSError: the disk is full or the folder cannot be written; an older file at `path` is still whole.
    """
    write_atomically(path, lambda file: _save(content, file), previous=previous)


def _save(content: dict[str, Any], file: BinaryIO) -> None:
    remembering = Remembering(file)
    try:
        torch.save(content, cast(IO[bytes], remembering))  # torch asks no more of a file than write and flush
    except RuntimeError as error:
        if remembering.failure is None:
            raise
        raise remembering.failure from error


class Remembering:
    """A file that keeps the error of a failed write: torch's writer raises one of its own instead, about positions."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.failure: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return self.file.write(data)
        except OSError as error:
            self.failure = self.failure or error
            raise

    def flush(self) -> None:
        self.file.flush()


class Damaged(UserError):
    """The file is there, and holds no whole checkpoint."""


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The content, on the CPU. Tensors and primitives only: a pickle that would run code is refused.

    Raises:
        UserError: no such file, or it must not be read.
        Damaged: not a checkpoint of this project, or not whole.
    """
    try:
        _check_sums(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such checkpoint") from None
    except FORBIDDEN as error:
        raise UserError(f"{path}: cannot be opened ({one_line(error)})") from error
    except Exception as error:  # whatever an unpickler may stumble over
        raise Damaged(f"{path}: cannot be read as a checkpoint ({_first_sentence(error)})") from error
    if not isinstance(content, dict) or not all(key in content for key in KEYS):
        raise Damaged(f"{path}: not a checkpoint of rgan-train (it must hold {', '.join(KEYS)})")
    iteration = content["iteration"]
    if type(iteration) is not int or not 0 <= iteration < 2**63 or not isinstance(content["config"], dict):
        raise Damaged(f"{path}: not a checkpoint of rgan-train (its iteration or config is of another kind)")
    for tensor in _tensors(content):
        # They cannot be copied into weights; complex numbers can, with half of each silently left out.
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized or tensor.is_complex():
            raise Damaged(
                f"{path}: not a checkpoint of rgan-train (it holds a tensor of another kind: {_kind(tensor)})"
            )
    return content


def _tensors(content: Any) -> Iterator[Tensor]:
    """All of them, at any depth. Without recursion: what a pickle says can be deep, and hold itself."""
    seen, todo = set(), [content]
    while todo:
        part = todo.pop()
        if isinstance(part, Tensor):
            yield part
        elif isinstance(part, (dict, list, tuple)) and id(part) not in seen:
            seen.add(id(part))
            todo += part.values() if isinstance(part, dict) else part


def _kind(tensor: Tensor) -> str:
    device = "" if tensor.device.type == "cpu" else f" on {tensor.device.type}"
    return f"{tensor.dtype}, {tensor.layout}{device}"


def _check_sums(path: Path) -> None:
    """Every byte of every tensor against its checksum: torch writes them, and does not look at them when it loads."""
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > path.stat().st_size:
                raise ValueError(f"its part {entry.filename} is packed, which torch never does")
        bad = archive.testzip()
    if bad is not None:
        raise ValueError(f"its part {bad} does not agree with its checksum")


def config_of(content: dict[str, Any], path: Path) -> Config:
    """The validated config that a checkpoint was trained under; keys that are younger than it have their defaults.

    Its plugins are not imported: a file that somebody gave you must not decide which code runs. Who was told of the
    training is left out: nothing is trained here.

    Raises:
        UserError: this version does not understand it, or it needs a plugin that is not loaded, or was another one.
    """
    named = content["config"].get("plugins") or []
    named = named if isinstance(named, list) else [named]
    needed = content.get("plugins", {})
    remedy = f"name them: --plugins {','.join(map(str, named))}, load_generator(…, plugins={named})"
    try:
        merged = OmegaConf.merge(root_defaults(), {**content["config"], "plugins": [], "logger": []})
        assert isinstance(merged, DictConfig)  # of two dicts
        config = validate(merged)
    except Exception as error:  # a config from a file can be anything
        if named:
            raise UserError(f"{path}: was trained with plugins={named} ({one_line(error)[:200]}); {remedy}") from error
        raise UserError(f"{path}: holds a config that this version does not understand: {one_line(error)}") from error
    for thing, digest in plugins_used(asdict(config)).items():
        if not isinstance(needed, dict) or needed.get(thing) != digest:
            raise UserError(
                f"{path}: its {thing} was that of another plugin, or of this one before it was changed; the source "
                f"that it was trained with lies in the run folder's plugins/: {remedy}"
            )
    return config


def last_checkpoint(path: Path) -> Path:
    """`path` itself, or, where it is a run folder, its `checkpoints/last.pt` (`previous.pt` where that is missing)."""
    if not path.is_dir():
        return path
    last, previous = path / "checkpoints" / "last.pt", path / "checkpoints" / "previous.pt"
    return previous if previous.exists() and not last.exists() else last


def read_generator(path: Path) -> tuple[Path, dict[str, Any], Config]:
    """Of a checkpoint, of a run folder's last one, or of a .safetensors file that `rgan-sample --export` wrote: the
    file, its content (of the last kind the generator alone, and no optimizers) and the config.

    Raises:
        UserError: no such file, or none of these, or its network's plugin is not loaded.
    """
    path = last_checkpoint(path)
    content = load_exported(path) if path.suffix == ".safetensors" else load_checkpoint(path)
    return path, content, config_of(content, path)


def load_generator(
    path: str | Path,
    device: str | torch.device = "cpu",
    *,
    plugins: Sequence[str] = (),
    ema: bool = False,
    batch_norm: str = "running",
) -> nn.Module:
    """The generator of a checkpoint, of a run folder's last one, or of a .safetensors file that `rgan-sample --export`
    wrote, ready to sample.

    It takes z ~ N(0, 1) [B, generator.latent_dim] and gives images [B, 3, H, W] in [−1, 1], or points [B, 2, 1, 1].

    Args:
        plugins: modules or files that the network's plugin is in, if it comes from one.
        ema: the moving average of the generator's weights instead (`ema.half_life`).
        batch_norm: "running" normalises by the generator's running statistics: the module is in eval mode. "batch"
            normalises each batch by its own statistics, as scores do: the module is in train mode, and its running
            statistics stay as they are, whether it is called then or after `.eval()`, which goes over to them.

    Raises:
        UserError: no such file, or not a checkpoint of this project, or its network's plugin is not named, or there is
            no average, or no such batch_norm.
    """
    if batch_norm not in ("batch", "running"):
        raise UserError(f"batch_norm={batch_norm!r}: must be batch or running")
    load_plugins(plugins)
    path, content, config = read_generator(Path(path))
    generator = generator_of(content, config, path, ema=ema).to(device)
    return set_batch_norm(generator, "batch") if batch_norm == "batch" else generator


def generator_of(content: dict[str, Any], config: Config, path: Path, *, ema: bool = False) -> nn.Module:
    """As `load_generator`, from content that is already in memory."""
    if ema and not config.has_average:
        raise UserError(
            f"{path}: has no averaged generator, since it was trained with ema.half_life=0; leave out --ema (in Python "
            "ema=True), or train with another ema.half_life"
        )
    try:
        generator, _ = build_networks(config.arch, seed=0)
        generator.load_state_dict(content["generator_ema" if ema else "generator"])
    except Exception as error:  # both come from a file, and can be anything
        raise UserError(
            f"{path}: its {'averaged ' * ema}generator is not the arch={config.arch.name} of width {config.arch.width} "
            f"that its config names ({_first_sentence(error)})"
        ) from error
    return generator.eval().requires_grad_(False)


def _first_sentence(error: Exception) -> str:
    """Enough to know what happened; torch's messages go on for paragraphs."""
    text = one_line(error) or type(error).__name__
    return text.split(". ")[0][:200]
