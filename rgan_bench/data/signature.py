"""Whether the files that images are read from are those of before. Imports no torch: finished runs are told by it."""

from pathlib import Path
from typing import Any

from rgan_bench.files import is_folder, listing_digest

FILES = ("folder", "cat64", "cat128", "cat256")  # sources that read all files below `data.root`, and nothing else


def source_signature(data: Any) -> str | None:
    """Changes with the files that images are read from; None where they cannot change, or are not there.

    Args:
        data: a validated data config.
    """
    if data.name not in FILES:
        return None  # drawn from the config, or checked by torchvision each time
    root = Path(data.root)
    try:
        return None if is_folder(root) is None else listing_digest(root)
    except OSError:  # loading them says why
        return None
