"""The cells of a sweep, before the first of them runs.

Hydra expands a sweep and runs its cells, one after another or (hydra/launcher=joblib) side by side in other processes.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from rgan_bench.config.schema import Config
from rgan_bench.config.validate import leaves
from rgan_bench.console import say, watched
from rgan_bench.errors import UserError, one_line, show
from rgan_bench.locks import Busy, held
from rgan_bench.run.folder import RunFolder
from rgan_bench.sweeps.cells import Cells
from rgan_bench.sweeps.launchers import prepare
from rgan_bench.sweeps.outcomes import Sweep
from rgan_bench.sweeps.space import Space

OPTUNA = "hydra_plugins.rgan_bench_sweepers.OptunaSweeper"
BASIC = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
OURS = "hydra_plugins.rgan_bench_sweepers.CellSweeper"  # does the same, and knows which cells are finished
MANY = 10  # cells that take more than a moment to compose


class WatchSweep(Callback):
    """Hydra's callback: knows, before the first cell runs, which ones there will be.

    Attributes:
        on_start: is told the sweep.
        planned: the config of each cell, for our sweepers; None where its config is refused. None: nobody knows yet.
    """

    on_start: Callable[[Sweep], None] = staticmethod(lambda sweep: None)
    planned: ClassVar[list[Config | None] | None] = None
    holding: ClassVar = contextlib.ExitStack()  # of the class: instances travel to other processes

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Ends the process where the sweep cannot be run: Hydra turns exceptions of callbacks into warnings."""
        with contextlib.suppress(HydraException, OmegaConfBaseException):  # the sweeper comes to it, and says so
            try:
                self.begin(config)
            except UserError as error:
                raise SystemExit(show("rgan-train", error)) from error

    def begin(self, config: DictConfig) -> None:
        """
        Raises:
            UserError: two cells would train the same run; another sweep uses the folder, or it cannot be written; the
                launcher is not installed.
        """
        WatchSweep.planned = None
        if config.hydra.sweeper._target_ == OPTUNA:
            return  # which opens its folder itself, when it has looked through its settings
        batch = expand(config)
        if batch is None:
            self.open(config)
            return
        if len(batch) >= MANY:
            say(f"{len(batch)} cells: looking through them before the first one runs")
        WatchSweep.planned, folders = plan_cells(config, batch)
        cells = [" ".join(what) or "(one cell)" for what in differences(config, batch)]
        self.open(config, cells, folders)
        if config.hydra.sweeper._target_ == BASIC:
            # Not in configs/config.yaml: what that overrides, presets like sweep=lr_search could not choose any more.
            config.hydra.sweeper._target_ = OURS

    @classmethod
    def open(cls, config: DictConfig, cells: list[str] | None = None, folders: list[str] | None = None) -> Sweep:
        """The sweep's folder, held until the sweep ends.

        Args:
            cells, folders: as `Sweep.start` has them; None: nobody knows yet.

        Raises:
            UserError: another sweep uses it, or it cannot be written.
        """
        sweep, fixed = Sweep(Path(config.hydra.sweep.dir)), None
        if cells is None:
            fixed = [each.input_line or "" for each in _overrides(config) if not each.is_sweep_override()]
        prepare(config, cells or [])
        try:
            sweep.folder.mkdir(parents=True, exist_ok=True)
            cls.holding.enter_context(held(sweep.lock))
            sweep.start(cells or [], folders or [], fixed)
        except Busy as error:
            raise UserError(
                f"hydra.sweep.dir={sweep.folder}: another sweep uses it ({error}); choose another"
            ) from None
        except OSError as error:
            raise UserError(
                f"hydra.sweep.dir={sweep.folder}: cannot be written ({one_line(error)}); choose another"
            ) from error
        cls.on_start(sweep)
        return sweep

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        WatchSweep.planned = None
        self.holding.close()


def expand(config: DictConfig) -> list[list[str]] | None:
    """The overrides of each cell, as Hydra's sweeper will expand them; None where they depend on the scores to come.

    Raises:
        UserError: a search that cannot be.
    """
    sweeper = config.hydra.sweeper
    if sweeper._target_.endswith(".RandomSweeper"):
        return Space.of(_overrides(config)).random_cells(sweeper.n_trials, sweeper.seed)
    if not sweeper._target_.endswith(".BasicSweeper"):
        return None
    (batch,) = BasicSweeper.split_arguments(_overrides(config), None)
    return [list(cell) for cell in batch]


def differences(config: DictConfig, batch: list[list[str]]) -> list[list[str]]:
    """Of each cell what it differs in: the rest is on the command line for all to see."""
    swept = {override.get_key_element() for override in _overrides(config) if override.is_sweep_override()}
    return [[each for each in cell if each.split("=")[0] in swept] for cell in batch]


def _overrides(config: DictConfig) -> list[Override]:
    parameters = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    hydra = GlobalHydra.instance()
    parser = OverridesParser.create(hydra.config_loader() if hydra.is_initialized() else None)  # which globs need
    return parser.parse_overrides([*parameters, *config.hydra.overrides.task])


def plan_cells(config: DictConfig, batch: list[list[str]]) -> tuple[list[Config | None], list[str]]:
    """The config of each cell, and its run folder; None and empty where it is refused, which is told at its turn.

    Cells in one folder train one run. That is meant where they differ in scoring (`fid.*`): the run is trained once,
    and scored as each of them says.

    Raises:
        UserError: they differ in something else, or in nothing.
    """
    cells = Cells(config)
    planned: dict[str, list[int]] = {}
    configs: list[Config | None] = []
    folders: list[str] = []
    for number, overrides in enumerate(watched(batch, "looking through the cells", "cell")):
        try:
            cell = cells.config_of(overrides)
        except UserError:
            configs.append(None)
            folders.append("")
            continue
        folder = str(RunFolder.of(cell).path)
        configs.append(cell)
        folders.append(folder)
        for first in planned.setdefault(folder, []):
            other = configs[first]
            assert other is not None  # it has a folder
            others = dict(leaves(other))
            different = [
                f"{key}={others[key]} and {value}"
                for key, value in leaves(cell)
                if not key.startswith("fid.") and value != others[key]
            ]
            if not different and cell.fid != other.fid:
                continue
            raise UserError(
                f"cells {first + 1} and {number + 1} of the sweep ({', '.join(different) or 'equal'}) would train the "
                f"same run, {folder}: sweep what changes its weights (seed, loss, arch, data, optim, "
                "train.batch_size) or its scores (fid). For several lengths set the longest, and fid.every; for other "
                "settings run one sweep each, with output_root=PLACE"
            )
        planned[folder].append(number)
    return configs, folders
