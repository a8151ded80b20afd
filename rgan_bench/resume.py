"""Where a run goes on from."""

from rgan_bench.data.dataset import ImageDataset
from rgan_bench.errors import UserError, one_line
from rgan_bench.runs import RunFolder
from rgan_bench.schema import Config
from rgan_bench.state import TrainState
from rgan_bench.store import CheckpointStore


def resume(state: TrainState, store: CheckpointStore, folder: RunFolder, data: ImageDataset, config: Config) -> None:
    """Brings the state to the folder's newest whole checkpoint, if there is one. The folder must be held.

    Raises:
        UserError: no checkpoint is whole, or it is of other images, networks or hyperparameters, or has come
            further than is asked for.
    """
    folder.clear_leftovers()
    store.clear_leftovers()
    found = store.load_newest()
    if found is None:
        _start_anew(folder, config, store)
        return
    path, content = found
    if content.get("data_fingerprint") != data.fingerprint:
        raise UserError(
            f"{path}: was trained on other images than {data.source} now holds; move {folder.path} away "
            "to start anew, or bring the old images back"
        )
    try:
        state.load_state_dict(content)
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: does not fit this run ({one_line(error)[:200]}); move it away to start anew"
        ) from error
    asked = config.train.iterations
    if state.iteration > asked:
        raise UserError(
            f"train.iterations={asked}: the run in {folder.path} has come to {state.iteration:,} already, and was not "
            f"scored after {asked:,} as is asked for; ask for {state.iteration} or more, or score a checkpoint of "
            f"then, if there is one: rgan-fid {store.periodic_path(asked)}"
        )


def _start_anew(folder: RunFolder, config: Config, store: CheckpointStore) -> None:
    """There is no checkpoint. That is said where there must have been one.

    Raises:
        UserError: the run had come as far as is asked for: what is left to do is a score, which needs a checkpoint.
    """
    reached = (folder.read_result() or {}).get("iteration")
    if not isinstance(reached, int) or reached == 0:
        return
    gone = f"{folder.path}: has come to iteration {reached:,}, and its checkpoints are gone"
    if reached >= config.train.iterations:
        raise UserError(f"{gone}: it cannot be scored otherwise than it was; move it away to train it anew")
    store.say(f"warning: {gone}; it starts at 0 again")
