"""Weight gradients of convolutions as one matrix product, where a CPU is faster so. Knows nothing of networks.

There, on channels-last tensors with many channels and few pixels, oneDNN's own kernels stay well below the rate of a
matrix product. Everything else is left to PyTorch, differentiating twice too: only the kernel that computes a gradient
is another one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# Where it pays (2 cores with AVX2, benchmarks/README.md): many output channels (of a transposed convolution: input
# channels), which share the work of laying out the columns, and columns that stay in the processor's cache.
FEWEST_CHANNELS = 256
MOST_COLUMN_BYTES = 1 << 25

_active = False


@contextmanager
def weight_gradients_as_products() -> Iterator[None]:
    """Within it, gradients of convolutions on the CPU are computed so where it pays."""
    global _active
    _install()
    before, _active = _active, True
    try:
        yield
    finally:
        _active = before


@cache  # once in a process; the library must live as long as the kernel that it registers
def _install() -> torch.library.Library:
    operator = torch.ops.aten.convolution_backward.default
    pytorchs = torch.library.get_kernel(operator, "CPU")

    def kernel(keys: Any, gradient: Tensor, images: Tensor, weight: Tensor, bias_sizes: Any, *settings: Any) -> Any:
        stride, padding, dilation, transposed, _, groups, wanted = settings
        # A transposed convolution is another one's step from output to input: the two change places.
        wide, narrow = (gradient, images) if transposed else (images, gradient)
        if not (_active and wanted[1] and groups == 1 and set(dilation) == {1} and _pays(narrow, weight)):
            return pytorchs.call_boxed(keys, gradient, images, weight, bias_sizes, *settings)
        for_images = None
        if wanted[0]:
            settings = (*settings[:-1], [True, False, False])
            for_images = pytorchs.call_boxed(keys, gradient, images, weight, bias_sizes, *settings)[0]
        for_weight = weight_gradient(wide, narrow, weight.shape[2:], stride, padding)
        return for_images, for_weight, gradient.sum((0, 2, 3)) if wanted[2] else None

    library = torch.library.Library("aten", "IMPL")
    library.impl("convolution_backward", kernel, "CPU", with_keyset=True)
    return library


def _pays(narrow: Tensor, weight: Tensor) -> bool:
    if weight.dim() != 4 or weight.shape[0] < FEWEST_CHANNELS:
        return False
    batch, _, height, width = narrow.shape
    column_bytes = batch * height * width * weight[0].numel() * weight.element_size()
    return column_bytes <= MOST_COLUMN_BYTES and weight.is_contiguous(memory_format=torch.channels_last)


def weight_gradient(wide: Tensor, narrow: Tensor, kernel: Any, stride: Any, padding: Any) -> Tensor:
    """Of a convolution from `wide` [B, I, H, W] to an output whose gradient is `narrow` [B, O, h, w]: [O, I, *kernel],
    channels last.

    It is the sum, over all output pixels, of the products of their gradients with what the kernel sees there.
    """
    batch, out, height, width = narrow.shape
    into = wide.shape[1]
    padded = F.pad(wide.permute(0, 2, 3, 1), (0, 0, padding[1], padding[1], padding[0], padding[0]))
    seen = padded.unfold(1, kernel[0], stride[0]).unfold(2, kernel[1], stride[1])[:, :height, :width]
    columns = seen.permute(0, 1, 2, 4, 5, 3).reshape(batch * height * width, -1)
    found = narrow.permute(0, 2, 3, 1).reshape(-1, out).t() @ columns
    return found.view(out, *kernel, into).permute(0, 3, 1, 2)
