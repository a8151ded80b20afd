"""Search by Optuna, one study for each combination of what is listed: all have the same budget of trials, and what is
learnt of one loss says nothing of another.

Hydra's own plugin (hydra-optuna-sweeper 1.3) is not used: it needs Optuna 2, which cannot make its SQLite tables under
SQLAlchemy 2; called again it draws the values of before once more, and it has one budget for all losses together.
"""

import hashlib
import json
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf

from rgan_bench.config.identity import WITHOUT_EFFECT
from rgan_bench.config.validate import leaves
from rgan_bench.console import say
from rgan_bench.errors import UserError, one_line
from rgan_bench.locks import Busy, held
from rgan_bench.run.objective import objective
from rgan_bench.sweeps.cells import Cells
from rgan_bench.sweeps.outcomes import Sweep
from rgan_bench.sweeps.plan import WatchSweep
from rgan_bench.sweeps.space import Interval, Space

if TYPE_CHECKING:
    import optuna

# Settings that change no weights and yet change what a trial's value means.
COUNT = {"train.iterations", "train.on_divergence", "seed"}


@dataclass(frozen=True)
class Group:
    """A combination of what is listed, and its study.

    Attributes:
        name: what it differs in from the others; empty where there is but one.
        score: whose final value is searched by.
    """

    name: str
    overrides: list[str]
    study: "optuna.Study"
    score: str


@dataclass(frozen=True)
class Trial:
    """
    Attributes:
        number: within its study.
        drawn: the overrides that were searched.
    """

    group: Group
    number: int
    drawn: list[str]

    @property
    def overrides(self) -> list[str]:
        return [*self.group.overrides, *self.drawn]


def search(config: DictConfig, space: Space, launcher: Launcher, settings: Mapping[str, Any]) -> None:
    """Runs trials until each group has as many as are wanted, in this call and those before it.

    Only a trial that has a value, the worst of one that diverged, is told to its study. All others stay open, and are
    taken up by the next call with the same storage: their runs go on in their folders.

    Args:
        config: of the sweep.
        settings: as configs/hydra/sweeper/optuna.yaml has them.

    Raises:
        UserError: Optuna is not installed; the settings are none; the storage holds another search, or is in use.
    """
    space.check(settings["n_trials"])
    at_once = settings["n_jobs"]
    if not isinstance(at_once, int) or at_once < 1:
        raise UserError(f"hydra.sweeper.n_jobs={at_once}: must be a whole number, at least 1")
    with studies(config, space, settings) as (sweep, groups):
        OmegaConf.save(config, sweep.folder / "multirun.yaml")
        tried: set[tuple[str, int]] = set()
        done = sum(len(finished(group)) for group in groups)
        if done:
            say(f"{settings['storage']}: {done} trials are finished already")
            tell_best(groups)
        first, total = 0, len(groups) * settings["n_trials"] - done
        while not sweep.stopped.exists():
            batch = [trial for group in groups for trial in next_trials(group, space, settings, tried)]
            if not batch:
                break
            tried |= {(trial.group.name, trial.number) for trial in batch}
            overrides = [trial.overrides for trial in batch]
            cells = [" ".join(filter(None, (trial.group.name, *trial.drawn))) for trial in batch]
            sweep.extend(cells, total)
            returns = launcher.launch(overrides, initial_job_idx=first)
            first += len(batch)
            for trial, job in zip(batch, returns, strict=True):
                if job.status == JobStatus.COMPLETED and job.return_value is not None:
                    trial.group.study.tell(trial.number, job.return_value)
            tell_best(groups)


def finished(group: Group) -> list["optuna.trial.FrozenTrial"]:
    return [trial for trial in group.study.get_trials(deepcopy=False) if trial.state.is_finished()]


def tell_best(groups: Sequence[Group]) -> None:
    for group in groups:
        say(best_so_far(group))


def best_so_far(group: Group) -> str:
    """ "loss=sgan: best fid of 4 trials 31.2, at optim.lr=0.0004"."""
    told = finished(group)
    if not told:
        return f"{group.name or 'search'}: no trial is finished yet"
    best = group.study.best_trial
    at = " ".join(
        f"{key}={value if isinstance(value, str) else format(value, '.4g')}" for key, value in best.params.items()
    )
    trials = f"{len(told)} trial{'s' * (len(told) != 1)}"
    return f"{group.name or 'search'}: best {group.score} of {trials} {best.value:.4g}, at {at}"


def next_trials(group: Group, space: Space, settings: Mapping[str, Any], tried: set[tuple[str, int]]) -> list[Trial]:
    """Those that an earlier call left open, then new ones; in all at most n_jobs."""
    known = group.study.get_trials(deepcopy=False)
    left = [trial for trial in known if not trial.state.is_finished() and (group.name, trial.number) not in tried]
    found = [Trial(group, trial.number, overrides_of(trial.params)) for trial in left[: settings["n_jobs"]]]
    for number in range(len(known), min(settings["n_trials"], len(known) + settings["n_jobs"] - len(found))):
        group.study.sampler = sampler(settings["seed"], number)
        trial = group.study.ask()
        found.append(Trial(group, trial.number, overrides_of(suggest(trial, space))))
    return found


def overrides_of(params: Mapping[str, Any]) -> list[str]:
    return [f"{key}={value}" for key, value in params.items()]


def suggest(trial: "optuna.Trial", space: Space) -> dict[str, Any]:
    for key, source in space.varied.items():
        if not isinstance(source, Interval):
            trial.suggest_categorical(key, source)
        elif source.whole:
            trial.suggest_int(key, int(source.low), int(source.high), log=source.log)
        else:
            trial.suggest_float(key, source.low, source.high, log=source.log)
    drawn: dict[str, Any] = trial.params
    return drawn


def sampler(seed: int, number: int) -> "optuna.samplers.BaseSampler":
    """Of one trial. A sampler that was seeded once would, in the next call, begin with the draws of the first."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # constant_liar: trials that run side by side keep apart.
        return optuna.samplers.TPESampler(seed=random.Random(f"{seed} {number}").getrandbits(32), constant_liar=True)


# --- where studies are kept -------------------------------------------------------------------------------------------


@contextmanager
def studies(config: DictConfig, space: Space, settings: Mapping[str, Any]) -> Iterator[tuple[Sweep, list[Group]]]:
    """The sweep's folder, and the studies in a file, which is held within the block.

    Raises:
        UserError: Optuna is not installed; a group's config is refused; the file is in use, or is none of studies.
    """
    try:
        import optuna
    except ImportError as error:
        raise UserError(
            f"hydra/sweeper=optuna: {one_line(error)}; install the extra: pip install 'rgan-bench[optuna]', or search "
            "without it: hydra/sweeper=random"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = Path(settings["storage"])
    where = f"hydra.sweeper.storage={path}"
    questions = [Question.of(config, space, group, settings) for group in space.groups]  # before anything is written
    sweep = WatchSweep.open(config)
    with ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(held(path.with_name(f".{path.name}.lock")))
            storage = optuna.storages.RDBStorage(f"sqlite:///{path.resolve()}")
        except Busy as error:
            raise UserError(f"{where}: another search uses it ({error}); wait for it, or choose another") from None
        except Exception as error:  # the system's, SQLite's, SQLAlchemy's or Optuna's
            reason = one_line(str(error).split("\n")[0] or type(error).__name__)
            raise UserError(f"{where}: studies cannot be kept there ({reason}); choose another") from error
        yield (
            sweep,
            [
                Group(name, group, question.study_in(storage), question.score)
                for name, group, question in zip(names(space.groups), space.groups, questions, strict=True)
            ],
        )


def names(groups: Sequence[list[str]]) -> list[str]:
    """What each group differs in."""
    common = set.intersection(*map(set, groups)) if len(groups) > 1 else set(groups[0])
    return [" ".join(each for each in group if each not in common) for group in groups]


@dataclass(frozen=True)
class Question:
    """What a study answers. Where it is the same again, so is the study; another one has a study of its own.

    Attributes:
        settings: all that decides what a trial's value means.
    """

    loss: str
    score: str
    higher: bool
    settings: dict[str, Any]

    @classmethod
    def of(cls, config: DictConfig, space: Space, group: list[str], settings: Mapping[str, Any]) -> "Question":
        """
        Raises:
            UserError: the group's config is refused, or its runs have no such score.
        """
        cell = Cells(config).config_of([*group, *space.draw(settings["seed"], 0)])
        if cell.fid.every is None:
            raise UserError("fid.every=null: without scores there is nothing to search by; set it to train.iterations")
        score, higher = objective(cell, settings["score"])
        unlike = ("limits.", "fid.cache_dir", "fid.every")
        told = {
            key: value
            for key, value in leaves(cell)
            if (key not in WITHOUT_EFFECT or key in COUNT) and not key.startswith(unlike)
        }
        varied = {key: str(source) for key, source in space.varied.items()}
        return cls(cell.loss.name, score, higher, {**told, **varied, "score": score, "search.seed": settings["seed"]})

    def study_in(self, storage: "optuna.storages.BaseStorage") -> "optuna.Study":
        import optuna

        text = json.dumps(self.settings, sort_keys=True, default=str)
        study = optuna.create_study(
            storage=storage,
            study_name=f"{self.loss} {hashlib.sha256(text.encode()).hexdigest()[:12]}",
            direction="maximize" if self.higher else "minimize",
            load_if_exists=True,
        )
        study.set_user_attr("settings", self.settings)
        return study
