"""Hydra finds sweepers in the namespace package hydra_plugins alone, and imports all of it at each start: so these stay
thin. What they do lies in `rgan_bench.sweeps`; their settings in `configs/hydra/sweeper`."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import Override
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class CellSweeper(BasicSweeper):
    """Hydra's own, where `WatchSweep` has composed all cells and knows them: which need not be done once more, and
    those that are finished are not launched."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from rgan_bench.sweeps.finished import PassingOver, can_pass_over
        from rgan_bench.sweeps.plan import WatchSweep

        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.planned = WatchSweep.planned
        if self.planned is not None and can_pass_over(config):
            assert self.launcher is not None  # since setup
            self.launcher = PassingOver(self.launcher, config, self.planned)

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        if self.planned is None:
            super().validate_batch_is_legal(batch)


class RandomSweeper(CellSweeper):
    """hydra/sweeper=random: values drawn beforehand, so that all cells are known before the first one runs."""

    def __init__(self, n_trials: int, seed: int, max_batch_size: int | None, params: dict[str, str] | None) -> None:
        super().__init__(max_batch_size, params)
        self.n_trials, self.seed = n_trials, seed

    def split_arguments(  # type: ignore[override]  # Hydra's is static, and is called on the instance
        self, overrides: list[Override], max_batch_size: int | None
    ) -> list[list[list[str]]]:
        from rgan_bench.sweeps.space import Space

        cells = Space.of(overrides).random_cells(self.n_trials, self.seed)
        return list(self.split_overrides_to_chunks(cells, max_batch_size))


class OptunaSweeper(Sweeper):
    """hydra/sweeper=optuna: values that Optuna proposes after the scores so far."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from hydra.core.plugins import Plugins

        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        from hydra.core.override_parser.overrides_parser import OverridesParser

        from rgan_bench.sweeps.search import search
        from rgan_bench.sweeps.space import Space

        assert self.config is not None and self.hydra_context is not None and self.launcher is not None  # since setup
        params: Mapping[str, str] = self.settings["params"] or {}
        parser = OverridesParser.create(self.hydra_context.config_loader)
        space = Space.of(parser.parse_overrides([*(f"{key}={value}" for key, value in params.items()), *arguments]))
        search(self.config, space, self.launcher, self.settings)
