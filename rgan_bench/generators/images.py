"""A trained generator, and the images or points that it makes from a seed."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from rgan_bench import register
from rgan_bench.config.schema import Config
from rgan_bench.errors import UserError
from rgan_bench.plugins import load_plugins
from rgan_bench.rng import stream
from rgan_bench.run.checkpoint import generator_of, read_generator
from rgan_bench.scoring.sampling import (
    NotFinite,
    as_they_are,
    batch_norms,
    borrowed,
    sample,
    to_uint8,
    weights_are_finite,
)
from rgan_bench.training.devices import resolve_device

MODES = {"batch": "batch statistics", "running": "running statistics"}
AT_ONCE = 100  # images in a pass where the number has no effect on them


@dataclass(frozen=True)
class Trained:
    """
    Attributes:
        path: of the file that it comes from.
        iteration: that it was trained to.
        config: that it was trained under.
        generator: in eval mode.
        which: "raw", or "ema" for the average.
        batch_norm: "batch" or "running": how it is to be sampled.
    """

    path: Path
    iteration: int
    config: Config
    generator: nn.Module
    which: str
    batch_norm: str

    @property
    def of_points(self) -> bool:
        return register.attributes("network", self.config.arch.name).get("of") == "points"

    @property
    def batch_size(self) -> int:
        """Images that share their statistics: as many as in the scores of the run."""
        return self.config.fid.batch_size

    def normalisation(self, *, standing: bool = False) -> str:
        """How batch norm works in its samples, for people; empty where it has none.

        Args:
            standing: see `fixed`.
        """
        if not batch_norms(self.generator):
            return ""
        of = f"{self.batch_size} reference latents" if standing else f"batches of {self.batch_size}"
        said = MODES[self.batch_norm] + (f" of {of}" if self.batch_norm == "batch" else "")
        scored, other = self.config.fid.batch_norm, next(mode for mode in MODES if mode != self.batch_norm)
        as_scores = "as its scores are" if scored == self.batch_norm else f"while its scores are under {MODES[scored]}"
        return f"batch norm by {said}, {as_scores} (--batch-norm {other} looks different)"


def open_trained(
    path: Path,
    *,
    batch_norm: str = "batch",
    ema: bool = False,
    device: str | torch.device = "cpu",
    plugins: Sequence[str] = (),
) -> Trained:
    """
    Args:
        path: a checkpoint, a run folder (its last one), or a .safetensors file that `rgan-sample --export` wrote.
        batch_norm: "batch" or "running".
        ema: the moving average of its weights instead.
        plugins: modules or files that its network's plugin is in.

    Raises:
        UserError: there is no such generator, or its weights are not finite.
    """
    if batch_norm not in MODES:
        raise UserError(f"batch_norm={batch_norm!r}: must be one of {', '.join(MODES)}")
    load_plugins(plugins)
    path, content, config = read_generator(path)
    generator = generator_of(content, config, path, ema=ema)
    if not weights_are_finite(generator, batch_norm):
        raise cannot_be_sampled(path, NotFinite())
    which = "ema" if ema else "raw"
    return Trained(path, content["iteration"], config, generator.to(device), which, batch_norm)


def cannot_be_sampled(path: Path, error: NotFinite) -> UserError:
    return UserError(f"{path}: cannot be sampled: {error}")


def draw(trained: Trained, num: int, seed: int) -> Iterator[Tensor]:
    """`num` images as uint8 [≤ B, 3, H, W], or points as float32 [≤ B, 2], in batches on the CPU.

    The same seed gives the same ones, and a larger `num` the same first ones.

    Raises:
        UserError: they are not finite; none of the batch that holds such is given.
    """
    batches = sample(
        trained.generator,
        num,
        seed=seed,
        purpose="sample/latent",
        batch_norm=trained.batch_norm,
        batch_size=trained.batch_size,
        stored=as_they_are if trained.of_points else to_uint8,
        check_each=True,
    )
    try:
        for batch in batches:
            yield batch.flatten(1).cpu() if trained.of_points else batch.cpu()
    except NotFinite as error:
        raise cannot_be_sampled(trained.path, error) from error


def sample_images(
    path: str | Path,
    num: int,
    *,
    seed: int = 0,
    batch_norm: str = "batch",
    ema: bool = False,
    device: str = "auto",
    plugins: Sequence[str] = (),
) -> Tensor:
    """Images of a trained generator, uint8 [num, 3, H, W] on the CPU; of points, float32 [num, 2].

    Args:
        path: a checkpoint, a run folder (its last one), or a .safetensors file that `rgan-sample --export` wrote.
        seed: decides the latents. A larger `num` has the same first images.
        batch_norm: "batch" normalises batches of `fid.batch_size` images by their own statistics, as scores do by
            default; "running" by the generator's running statistics.
        ema: the moving average of the generator's weights instead (`ema.half_life`).
        device: auto, cpu, cuda or cuda:N.
        plugins: modules or files that the network's plugin is in, if it comes from one.

    Raises:
        UserError: there is no such generator or device, `num` is below 1, or what it makes is not finite.
    """
    if num < 1:
        raise UserError(f"num={num}: must be at least 1")
    trained = open_trained(Path(path), batch_norm=batch_norm, ema=ema, device=resolve_device(device), plugins=plugins)
    return torch.cat(list(draw(trained, num, seed)))


def fixed(trained: Trained, seed: int) -> nn.Module:
    """A generator of which each image depends on its latent alone. In eval mode.

    With batch_norm="batch" a copy, whose batch norm has the statistics of one batch of reference latents (standing
    statistics, Brock et al. 2019, arXiv 1809.11096): images look as they do in such a batch, and a film does not
    flicker, as it would if each frame changed the statistics.
    """
    if trained.batch_norm == "running" or not batch_norms(trained.generator):
        return trained.generator
    generator = deepcopy(trained.generator)

    def keep(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        others = [axis for axis in range(inputs[0].ndim) if axis != 1]
        # By n, not by n − 1: what a batch is normalised by.
        norm.running_var, norm.running_mean = torch.var_mean(inputs[0], others, correction=0)

    hooks = [norm.register_forward_pre_hook(keep) for norm in batch_norms(generator)]
    with borrowed(generator, "batch"), torch.no_grad():
        generator(latents(trained, trained.batch_size, seed, "sample/reference"))
    for hook in hooks:
        hook.remove()
    return generator


def latents(trained: Trained, count: int, seed: int, purpose: str, index: int = 0) -> Tensor:
    """[count, latent_dim], on the generator's device."""
    z = torch.randn(count, trained.config.arch.latent_dim, generator=stream(seed, purpose, index))
    return z.to(next(trained.generator.parameters()).device)


def from_latents(trained: Trained, generator: nn.Module, z: Tensor) -> Tensor:
    """uint8 [B, 3, H, W] on the CPU, of a generator of which each image depends on its latent alone.

    Raises:
        UserError: they are not finite.
    """
    with torch.no_grad():
        images = torch.cat([generator(part) for part in z.split(AT_ONCE)])
    if not torch.isfinite(images).all():
        raise cannot_be_sampled(trained.path, NotFinite())
    return to_uint8(images).cpu()
