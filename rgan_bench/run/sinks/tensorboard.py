"""TensorBoard: event files in the run folder. `tensorboard --logdir outputs` shows a whole sweep, HPARAMS its table."""

import io
import os
import platform
import time
from pathlib import Path
from typing import Any

from PIL import Image

from rgan_bench.config.combinations import shown
from rgan_bench.config.identity import COUNTED, NEUTRAL
from rgan_bench.config.schema import Config
from rgan_bench.config.validate import leaves
from rgan_bench.files import append_whole, flush
from rgan_bench.register import sink
from rgan_bench.run.folder import RunFolder
from rgan_bench.run.sinks import Sink, Values

# What sweeps are mostly over: HPARAMS shows five columns before it is told otherwise, those that differ first, and
# within them goes by the alphabet.
SWEPT = ("arch.width", "loss.name", "loss.penalty", "optim.lr", "seed")
SCORE = "score/"  # before the names of scores, so that they stand together


@sink("tensorboard", needs="tensorboard")
class TensorBoard(Sink):
    """Each session writes a file of its own. What a killed one has written stays, and is not written again: a
    TensorBoard that looks on would be misled by a file that is changed."""

    def __init__(self, folder: RunFolder, config: Config) -> None:
        # Half a second, for those who ask for it.
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        self.make_event, self.make_summary, self.writer = Event, Summary, RecordWriter
        self.place = folder.path / "tensorboard"
        self.run = folder.path.name
        self.settings = settings_of(config)

    def begin(self, iteration: int) -> dict[str, int]:
        from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
        from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG

        last: dict[str, int] = {}
        for path in self.place.glob("events.out.tfevents.*"):
            for event in EventFileLoader(str(path)).Load():  # as far as the file is whole
                last |= {value.tag: max(event.step, last.get(value.tag, 0)) for value in event.summary.value}
        self.described = SESSION_START_INFO_TAG in last
        self.place.mkdir(exist_ok=True)
        # A name as TensorBoard's own writer makes it. That one writes in a thread, whose errors are tracebacks.
        self.events = self.place / f"events.out.tfevents.{time.time():.3f}.{platform.node()}.{os.getpid()}"
        self._append(file_version="brain.Event:2")
        return {tag.removeprefix(SCORE): step for tag, step in last.items()}

    def log(self, iteration: int, values: Values) -> None:
        known = {name: value for name, value in values.items() if value is not None}
        self._write(iteration, [{"tag": name, "simple_value": value} for name, value in known.items()])

    def images(self, iteration: int, path: Path) -> None:
        with Image.open(path) as image:
            (width, height), channels = image.size, len(image.getbands())
        size = {"width": width, "height": height, "colorspace": channels}
        picture = {**size, "encoded_image_string": path.read_bytes()}
        self._write(iteration, [{"tag": path.parent.name, "image": picture}])

    def scores(self, iteration: int, values: Values) -> None:
        self._describe(values)
        self.log(iteration, {f"{SCORE}{name}": value for name, value in values.items()})

    def save(self) -> None:
        flush(self.events)

    def finish(self, result: dict[str, Any]) -> None:
        self._describe({})

    def _write(self, iteration: int, values: list[Any]) -> None:
        self._append(step=iteration, summary=self.make_summary(value=values))

    def _append(self, **fields: Any) -> None:
        record = io.BytesIO()
        self.writer(record).write(self.make_event(wall_time=time.time(), **fields).SerializeToString())
        append_whole(self.events, record.getvalue())

    def _describe(self, scores: Values) -> None:
        """For HPARAMS, once: the run's settings, and which scores stand beside them."""
        if self.described:
            return
        self.described = True
        from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2, summary_v2

        experiment = api_pb2.Experiment(
            hparam_infos=[{"name": key, "differs": key in SWEPT} for key in self.settings],
            metric_infos=[{"name": {"tag": f"{SCORE}{name}"}, "display_name": name} for name in scores],
        )
        about = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(experiment=experiment))
        columns = {"tag": metadata.EXPERIMENT_TAG, "metadata": about, "tensor": metadata.NULL_TENSOR}
        row = summary_v2.hparams_pb(self.settings, trial_id=self.run, start_time_secs=time.time())
        self._write(0, [columns, *row.value])


def settings_of(config: Config) -> dict[str, float | bool | str]:
    """Dotted key → value of the loss's name, the seed, and everything that changes the trained weights.

    The same keys in every run, but for those of its data set: of all runs, TensorBoard asks one for the columns.
    """
    counted = [f"{group}.{key}" for group, keys in COUNTED.items() for key in keys]
    wanted = {"loss.name", *counted, "train.batch_size", *NEUTRAL, "seed"}
    values = {key: value for key, value in leaves(config) if key in wanted}
    return {key: value if isinstance(value, float | int | str) else shown(value) for key, value in values.items()}
