"""metrics.jsonl: one line per logged iteration. Scores, pictures and results stand in files of their own."""

from pathlib import Path
from typing import Any

from rgan_bench.run.folder import RunFolder
from rgan_bench.run.sinks import Values


class MetricsFile:
    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def log(self, iteration: int, values: Values) -> None:
        self.folder.append_metrics({"iteration": iteration, **values})

    def images(self, iteration: int, path: Path) -> None: ...

    def scores(self, iteration: int, values: Values) -> None: ...

    def save(self) -> None:
        self.folder.flush_metrics()

    def finish(self, result: dict[str, Any]) -> None: ...
