"""`fid.json`, where `rgan-fid` keeps what it found beside the checkpoints. Imports no torch."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rgan_bench.errors import one_line
from rgan_bench.files import write_atomically

Row = dict[str, Any]  # {path, iteration, score, value, protocol}, or {path, error}


def remember(checkpoint: Path, rows: list[Row], warn: Callable[[str], None]) -> None:
    """Puts the scores of a checkpoint in: the file has the newest for each checkpoint beside it and each protocol.

    Whatever stands in the way costs a warning, and never the score.
    """
    path = checkpoint.with_name("fid.json")
    aside = path.with_name(f"{path.name}.damaged")
    new = [{**row, "path": checkpoint.name} for row in rows]
    try:
        known = read(path)
        kept = [entry for entry in known or [] if key_of(entry) not in set(map(key_of, new))]
        text = json.dumps(kept + new, indent=2, allow_nan=False) + "\n"
        write_atomically(path, lambda file: file.write(text.encode()), previous=aside if known is None else None)
    except OSError as error:
        warn(f"cannot write {path} ({one_line(error)})")
    else:
        if known is None:
            warn(f"{path} was damaged: it is set aside as {aside.name}, and a new one written")


def read(path: Path) -> list[Row] | None:
    """The entries of the file: [] where there is none, None where it is damaged.

    Raises:
        OSError: it cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    try:
        entries = json.loads(content)
        json.dumps(entries, allow_nan=False)
        sound = isinstance(entries, list) and all(isinstance(text, str) for each in entries for text in key_of(each))
    except (KeyError, RecursionError, TypeError, ValueError):
        return None
    return entries if sound else None


def key_of(entry: Row) -> tuple[str, str]:
    return entry["path"], entry["protocol"]["fingerprint"]
