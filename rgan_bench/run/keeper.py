"""When a state is saved, and what is saved with it."""

from collections.abc import Callable
from dataclasses import asdict

from rgan_bench.config.identity import plugins_used
from rgan_bench.config.schema import Config
from rgan_bench.data.dataset import ImageDataset
from rgan_bench.run.store import CheckpointStore
from rgan_bench.training.state import TrainState


class Keeper:
    """Writes each state once.

    Attributes:
        saved: what `TrainState.progress` was at the last checkpoint; (0,): there is none.
    """

    def __init__(self, store: CheckpointStore, state: TrainState, config: Config, data: ImageDataset) -> None:
        self.store, self.state = store, state
        settings = asdict(config)
        self.beside = {"config": settings, "plugins": plugins_used(settings), "data_fingerprint": data.fingerprint}
        self.saved: tuple[int, ...] = (0,)

    def save(self, wall_seconds: float, before: Callable[[], None], *, periodic: bool = False) -> None:
        """`last.pt`, unless it holds this state already; with `periodic`, also under the name of this iteration.

        Args:
            before: is called when a new `last.pt` is about to be written.

        Raises:
            UserError: no space, no permission.
        """
        path = self.store.periodic_path(self.state.iteration)
        content_is_new = self.saved != self.state.progress()
        if not content_is_new and (not periodic or path.exists()):
            return
        self.state.wall_seconds = wall_seconds
        content = {**self.state.state_dict(), **self.beside, "spared": self.store.spared}
        if content_is_new:
            before()
            self.store.save_last(content)
            self.saved = self.state.progress()
        if periodic:
            self.store.save_periodic(content)
