"""rgan_bench: which GAN loss is better, and is the difference real?

The experiments of "The relativistic discriminator" (arXiv 1807.00734), config-driven.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rgan_bench.run.checkpoint import load_generator

__version__ = "0.1.0"
__all__ = ["__version__", "load_generator"]


def __getattr__(name: str) -> Any:
    # Lazy, so that `import rgan_bench` (and with it every command line's --help) does not import torch.
    if name == "load_generator":
        from rgan_bench.run.checkpoint import load_generator

        return load_generator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
