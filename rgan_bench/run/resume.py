"""Where a run goes on from."""

from rgan_bench.config.schema import Config
from rgan_bench.data.dataset import ImageDataset
from rgan_bench.errors import UserError, one_line
from rgan_bench.run.folder import RunFolder
from rgan_bench.run.standing import has_come_further
from rgan_bench.run.store import CheckpointStore
from rgan_bench.training.state import TrainState


def resume(state: TrainState, store: CheckpointStore, folder: RunFolder, data: ImageDataset, config: Config) -> bool:
    """Brings the state to the folder's newest whole checkpoint; whether there is one. The folder must be held.

    Raises:
        UserError: no checkpoint is whole, or it is of other images, networks or hyperparameters, or has come
            further than is asked for.
    """
    folder.clear_leftovers()
    store.clear_leftovers()
    found = store.load_newest()
    if found is None:
        _start_anew(folder, config, store)
        return False
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
    if state.iteration > config.train.iterations:
        raise UserError(has_come_further(folder, state.iteration, config.train.iterations))
    store.spare(content)
    return True


def _start_anew(folder: RunFolder, config: Config, store: CheckpointStore) -> None:
    """There is no checkpoint. That is said where the run had begun.

    Raises:
        UserError: it was finished, and so saved: what is left to do is a score, which needs a checkpoint.
    """
    result = folder.read_result() or {}
    reached = result.get("iteration")
    if not isinstance(reached, int) or reached == 0:
        return
    came = f"{folder.path}: has come to iteration {reached:,}"
    if result.get("status") == "finished" and reached >= config.train.iterations:
        raise UserError(
            f"{came}, and its checkpoints are gone: it cannot be scored otherwise than it was; move it away to "
            "train it anew"
        )
    store.say(f"warning: {came}, and there is no checkpoint of it; it starts at 0 again")
