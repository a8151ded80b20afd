"""The results of many runs in one file, to publish them or hand them on. `rgan-table` reads it as it reads folders."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rgan_bench.catalogue.entry import FoundRun
from rgan_bench.errors import UserError
from rgan_bench.report.parts import Malformed, printable
from rgan_bench.report.reading import load

# What leads to the last part of an absolute path, and no part of a URL.
FOLDERS = re.compile(r"(?<![\w.:/])/(?:[^\s/:'\",\[\]{}]+/)+")


def pack(runs: Iterable[FoundRun], places: Iterable[Path]) -> str:
    """
    Args:
        places: below which the runs lie. Their names in the file are their paths from there.

    Returns:
        {"runs": {name: content of its result.json}} as JSON, a run a line. Of absolute paths only the last part is
        left: where somebody's files lie is nobody's business.

    Raises:
        UserError: a run's result cannot be read, or two runs have one name.
    """
    places = [place.absolute() for place in places]
    packed: dict[str, str] = {}
    for run in runs:
        folder = run.path.absolute()
        above = next(place for place in (*places, folder.parent) if folder.is_relative_to(place) and folder != place)
        name = folder.relative_to(above).as_posix()
        if name in packed:
            raise UserError(f"{printable(run.path)}: two are called {printable(name)}; name one folder above both")
        if run.problem or run.run is None:
            raise UserError(
                f"{printable(run.path)}: {run.problem or 'has no result.json'}; leave it out: status=finished,diverged"
            )
        try:
            packed[name] = json.dumps(without_folders(load(folder / "result.json")), separators=(",", ":"))
        except Malformed as error:
            raise UserError(f"{printable(run.path)}: {error}") from error
    lines = ",\n".join(f"{json.dumps(name)}: {packed[name]}" for name in sorted(packed))
    return f'{{"runs": {{\n{lines}\n}}}}\n'


def without_folders(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_folders(each) for key, each in value.items()}
    if isinstance(value, list):
        return [without_folders(each) for each in value]
    if isinstance(value, str):
        # A path by itself may have spaces; within a text they end it.
        return value.rpartition("/")[2] if value.startswith("/") and "\n" not in value else FOLDERS.sub("", value)
    return value
