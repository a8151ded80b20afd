"""metrics.jsonl: one line per logged iteration. Scores, pictures and results stand in files of their own."""

from rgan_bench.run.folder import RunFolder
from rgan_bench.run.sinks import Sink, Values


class MetricsFile(Sink):
    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def begin(self, iteration: int) -> dict[str, int]:
        with self.folder.writing():
            self.folder.trim_metrics(iteration)
        return {}

    def log(self, iteration: int, values: Values) -> None:
        self.folder.append_metrics({"iteration": iteration, **values})

    def save(self) -> None:
        self.folder.flush_metrics()
