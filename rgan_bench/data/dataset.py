"""A data set is a tensor: everything here fits the device as uint8, so batches are gathered and normalised there."""

import hashlib
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from rgan_bench.config.schema import LimitsConfig
from rgan_bench.errors import UserError


@dataclass(frozen=True)
class ImageDataset:
    """All images of a source.

    Attributes:
        name: of the source (cifar10, folder, demo, shapes).
        source: where the images are from, for people.
        images: uint8 [N, 3, H, W].
        fingerprint: of the pixels; two data sets with one fingerprint are the same images in the same order.
        skipped: how many files that cannot be read, and folders that cannot be listed, were left out.
        mirrored: whether batches may hold mirrored images, too. (Scores are always against the images as they are.)
        signature: of the files that they were read from, as they were before; None: there are none that could change.
    """

    name: str
    source: str
    images: Tensor
    fingerprint: str
    skipped: int = 0
    mirrored: bool = False
    signature: str | None = None

    @classmethod
    def from_images(cls, name: str, source: str, images: Tensor, skipped: int = 0) -> "ImageDataset":
        """Fingerprints uint8 images [N, 3, H, W] that lie on the CPU."""
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"images must be uint8 [N, 3, H, W], got {images.dtype} {list(images.shape)}")
        images = images.contiguous()
        digest = hashlib.blake2b(repr(tuple(images.shape)).encode(), digest_size=8)
        digest.update(images.numpy().data)
        return cls(name, source, images, digest.hexdigest(), skipped)

    def __len__(self) -> int:
        return self.images.shape[0]

    @property
    def image_size(self) -> int:
        return self.images.shape[-1]

    @property
    def content(self) -> str:
        """What it holds, for people."""
        return f"{len(self):,} images {self.image_size}×{self.image_size}"

    def to(self, device: torch.device) -> Self:
        images = self.images
        if device.type == "cuda":  # channels last, as networks want their batches; on the host, for room on the device
            images = images.contiguous(memory_format=torch.channels_last)
        return replace(self, images=images.to(device))

    def batch(self, indices: Tensor, memory_format: torch.memory_format = torch.channels_last) -> Tensor:
        """The images at these indices, float32 [B, 3, H, W] in [−1, 1], gathered and normalised where they lie.

        Args:
            indices: int64 [B]; with `mirrored`, N + i is image i mirrored.
        """
        indices = indices.to(self.images.device)
        within = indices % len(self) if self.mirrored else indices
        if self.images.is_contiguous():
            chosen = self.images[within]
        else:  # channels last, and so is what is chosen
            chosen = self.images.permute(0, 2, 3, 1)[within].permute(0, 3, 1, 2)
        if self.mirrored:
            chosen = torch.where((indices >= len(self))[:, None, None, None], chosen.flip(-1), chosen)
        return (chosen / 127.5).sub_(1).contiguous(memory_format=memory_format)


def check_room(count: int, size: int, limits: LimitsConfig, what: str) -> None:
    """Before memory is taken for `count` images.

    Args:
        what: that brings so many, as in "data.root=photos".

    Raises:
        UserError: they need more than limits.dataset_bytes.
    """
    check_bytes(count * 3 * size * size, f"{count:,} images of {size}×{size}", limits, what)


def check_bytes(needed: int, content: str, limits: LimitsConfig, what: str) -> None:
    """As `check_room`.

    Args:
        content: what needs so many bytes, for people.
    """
    if needed > limits.dataset_bytes:
        raise UserError(
            f"{what}: {content} take {needed:,} bytes of memory; limits.dataset_bytes="
            f"{limits.dataset_bytes} allows fewer (raise it if the machine has them)"
        )
