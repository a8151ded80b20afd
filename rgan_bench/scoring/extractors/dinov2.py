"""DINOv2 (Oquab et al. 2023, arXiv 2304.07193) as Stein et al. 2023 (arXiv 2306.04675) score with it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rgan_bench.errors import UserError, one_line
from rgan_bench.files import digest
from rgan_bench.register import extractor
from rgan_bench.scoring.extractors.weights import Published

URL = "https://dl.fbaipublicfiles.com/dinov2"
PATCH = 14  # pixels of a patch's side
TRAINED = 37  # patches of a side of the images that the published position embeddings are for
SIZE = 224  # pixels of the images here, so that there are 16 patches a side
# The published models were made to interpolate their position embeddings for 16.1 patches a side in place of 16: once a
# guard against rounding, it is part of what they compute.
OFFSET = 0.1
MEAN, SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's channels

Made = tuple[Callable[[Tensor], Tensor], str]


@extractor("dinov2", dimensions=1024, mark={"pos_embed": (1, 1370, 1024)})
def vitl14_features(device: torch.device, weights: str | None) -> Made:
    return _features("dinov2", "vitl14", device, weights, width=1024, depth=24, heads=16)


@extractor("dinov2-vitb14", dimensions=768, mark={"pos_embed": (1, 1370, 768)})
def vitb14_features(device: torch.device, weights: str | None) -> Made:
    return _features("dinov2-vitb14", "vitb14", device, weights, width=768, depth=12, heads=12)


def _features(name: str, model: str, device: torch.device, weights: str | None, **architecture: int) -> Made:
    url = f"{URL}/dinov2_{model}/dinov2_{model}_pretrain.pth"
    published = Published(name, f"DINOv2 {model} without registers", url, foreign=("register_tokens",))
    path = Path(weights) if weights is not None else published.downloaded()
    content = published.read(path, "fid.weights" if weights is not None else "the downloaded weights")
    return DinoV2Features(content, path, **architecture).to(device), digest(path)


class DinoV2Features(nn.Module):
    """The class token after the last norm, [B, width]."""

    def __init__(self, weights: dict[str, Any], path: Path, *, width: int, depth: int, heads: int) -> None:
        """
        Args:
            weights: a state dict of DINOv2.
            path: whence it comes, for errors.

        Raises:
            UserError: it is of another architecture.
        """
        super().__init__()
        with torch.device("meta"):  # its tensors are those of the file
            self.network = VisionTransformer(width, depth, heads)
        # The mask token stands for patches that training hid.
        weights = {name: tensor for name, tensor in weights.items() if name != "mask_token"}
        try:
            self.network.load_state_dict(weights, assign=True)
        except Exception as error:  # a name missing, a wrong shape, or anything in the place of a tensor
            raise UserError(f"fid.weights={path}: does not fit this DINOv2 ({one_line(error)[:200]})") from error
        self.register_buffer("positions", interpolated(self.network.pos_embed.detach().float(), SIZE // PATCH))
        self.eval().float().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.network(prepared(images), self.positions)
        return features


def prepared(images: Tensor) -> Tensor:
    """uint8 [B, 3, H, W] → float32 [B, 3, 224, 224] as the network was trained to see them.

    Resized with an antialiased bicubic filter, whatever their size, by rows and then by columns, each time rounded to 8
    bits: as Pillow does it, which Stein et al. used.
    """
    values = images.float()
    for size in ((values.shape[-2], SIZE), (SIZE, SIZE)):
        if values.shape[-2:] != size:
            values = F.interpolate(values, size, mode="bicubic", antialias=True).round().clamp(0, 255)
    mean, sd = (values.new_tensor(each)[:, None, None] for each in (MEAN, SD))
    return (values / 255 - mean) / sd


def interpolated(positions: Tensor, side: int) -> Tensor:
    """Position embeddings [1, 1 + 37², width] for as many patches as there are, [1, 1 + side², width]. That of the
    class token, which is the first, stays.

    Bicubic without antialiasing by the factor (side + 0.1) / 37, as the published models do.
    """
    token, patches = positions[:, :1], positions[:, 1:]
    grid = patches.unflatten(1, (TRAINED, TRAINED)).permute(0, 3, 1, 2)
    resized = F.interpolate(grid, scale_factor=(side + OFFSET) / TRAINED, mode="bicubic")
    return torch.cat([token, resized.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)


class VisionTransformer(nn.Module):
    """Images [B, 3, H, W] and positions [1, 1 + patches, width] → [B, width]. Its tensors are called as in DINOv2."""

    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + TRAINED**2, width))
        self.patch_embed = Patches(width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = _norm(width)

    def forward(self, images: Tensor, positions: Tensor) -> Tensor:
        tokens = [self.cls_token.expand(len(images), -1, -1), self.patch_embed(images)]
        x = torch.cat(tokens, dim=1) + positions
        for block in self.blocks:
            x = block(x)
        found: Tensor = self.norm(x[:, 0])
        return found


class Patches(nn.Module):
    """Images [B, 3, H, W] → [B, H·W / 14², width]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH, PATCH)

    def forward(self, images: Tensor) -> Tensor:
        patches: Tensor = self.proj(images).flatten(2).transpose(1, 2)
        return patches


class Block(nn.Module):
    """[B, N, width] → the same, by attention and a perceptron, each scaled and added to what went in."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.attn, self.ls1 = _norm(width), Attention(width, heads), Scale(width)
        self.norm2, self.mlp, self.ls2 = _norm(width), Perceptron(width), Scale(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        added: Tensor = x + self.ls2(self.mlp(self.norm2(x)))
        return added


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        queries, keys, values = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(queries, keys, values)
        projected: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return projected


class Perceptron(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return found


class Scale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


def _norm(width: int) -> nn.LayerNorm:
    return nn.LayerNorm(width, eps=1e-6)
