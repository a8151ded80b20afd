"""rgan_bench: which GAN loss is better, and is the difference real?

The experiments of "The relativistic discriminator" (arXiv 1807.00734), config-driven. Each command has a function:

    import rgan_bench

    result = rgan_bench.train("loss=rasgan", "data=demo", "train.iterations=500")  # rgan-train
    rgan_bench.score(result.folder, num_samples=5000)                              # rgan-fid
    images = rgan_bench.sample(result.folder, 64)                                  # rgan-sample
    rgan_bench.runs("outputs").to_pandas()                                         # rgan-runs
    print(rgan_bench.table("outputs"))                                             # rgan-table
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rgan_bench.api.scoring import score
    from rgan_bench.api.tables import table
    from rgan_bench.api.training import Diverged, NotScored, Result, train
    from rgan_bench.catalogue import find as runs
    from rgan_bench.errors import UserError
    from rgan_bench.generators.images import sample_images as sample
    from rgan_bench.locks import Busy
    from rgan_bench.run.checkpoint import load_generator

__version__ = "0.1.0"
__all__ = [
    "Busy",
    "Diverged",
    "NotScored",
    "Result",
    "UserError",
    "__version__",
    "load_generator",
    "runs",
    "sample",
    "score",
    "table",
    "train",
]

# Where they come from. They are imported when they are asked for, so that `import rgan_bench` (and with it every
# command's --help) does not import torch.
_FROM = {
    "Busy": "locks:Busy",
    "Diverged": "api.training:Diverged",
    "NotScored": "api.training:NotScored",
    "Result": "api.training:Result",
    "UserError": "errors:UserError",
    "load_generator": "run.checkpoint:load_generator",
    "runs": "catalogue:find",
    "sample": "generators.images:sample_images",
    "score": "api.scoring:score",
    "table": "api.tables:table",
    "train": "api.training:train",
}


def __getattr__(name: str) -> Any:
    if name in _FROM:
        module, _, attribute = _FROM[name].partition(":")
        return getattr(import_module(f"rgan_bench.{module}"), attribute)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
