"""A generator alone, in a .safetensors file: its weights, and as metadata the config that it was trained under."""

import json
from pathlib import Path
from typing import Any

from rgan_bench.errors import UserError, one_line

NEEDED = ("config", "plugins", "iteration", "generator")  # of the metadata


def load_exported(path: Path) -> dict[str, Any]:
    """What `rgan-sample --export` wrote, as a checkpoint would hold it: `generator` (also as `generator_ema`, where the
    average was exported), `config`, `plugins`, `iteration`. Such a file runs no code.

    Raises:
        UserError: no such file, or not one of these, or the package that reads them is missing.
    """
    try:
        from safetensors import safe_open
    except ImportError as error:
        raise UserError(f"{path}: {missing(error)}") from error
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
    except Exception as error:  # the library's own kinds, and the system's
        raise UserError(f"{path}: cannot be read as safetensors ({one_line(error)})") from error
    try:
        config, plugins, iteration, which = (json.loads(metadata[name]) for name in NEEDED)
    except (KeyError, ValueError) as error:
        lacking = f"lack {error}" if isinstance(error, KeyError) else "are no JSON"
        raise UserError(f"{path}: not written by rgan-sample --export (its metadata {lacking})") from error
    if not isinstance(config, dict) or type(iteration) is not int:
        raise UserError(f"{path}: not written by rgan-sample --export (its config or iteration is of another kind)")
    content = {"generator": weights, "config": config, "plugins": plugins, "iteration": iteration}
    return content | ({"generator_ema": weights} if which == "ema" else {})


def missing(error: ImportError) -> str:
    """The remedy where a package of the extra `export` is not installed."""
    return f"needs a package that is not installed ({one_line(error)}): pip install 'rgan-bench[export]'"
