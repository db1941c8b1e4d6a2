"""Registers runner's sweepers with Hydra: hydra/sweeper=grid, random and optuna."""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class GridSweeperConf:
    """Every combination of the values."""

    _target_: str = "hydra_plugins.runner_sweepers.GridSweeper"
    params: Any = None  # axes: {key: "1,2,3"}
    zip: list[list[str]] = field(default_factory=list)  # keys whose values go together
    exclude: list[dict[str, Any]] = field(default_factory=list)  # combinations to leave out


@dataclass
class RandomSweeperConf:
    """Combinations drawn at random."""

    _target_: str = "hydra_plugins.runner_sweepers.SearchSweeper"
    kind: str = "random"
    params: Any = None  # what to vary: {key: "interval(0,1)"}
    n_trials: int = 20  # in all: a sweep that is continued tops up to it
    seed: int = 0
    objectives: Any = None  # {evaluation.loss: min, ...}; null: trainer.best_metric
    pruner: str = "none"  # none | median | hyperband
    pruning_warmup: str | None = None  # no run is ended before, such as 3 evaluations
    pruning_startup_trials: int | None = None  # that median waits for; null: 5


@dataclass
class OptunaSweeperConf(RandomSweeperConf):
    """Combinations that Optuna proposes, learning from those that were tried."""

    kind: str = "optuna"
    sampler: str = "tpe"  # tpe | cmaes | nsgaii | random
    startup_trials: int | None = None  # drawn at random first; null: tpe 10, cmaes 1, nsgaii 50


for _name, _node in (
    ("grid", GridSweeperConf),
    ("random", RandomSweeperConf),
    ("optuna", OptunaSweeperConf),
):
    ConfigStore.instance().store(group="hydra/sweeper", name=_name, node=_node, provider="runner")


class RunnerSweeper(Sweeper):
    """Keeps what Hydra hands over; subclasses say what to sweep over."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.config: DictConfig | None = config
        self.launcher: Launcher | None = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def handed_over(self) -> tuple[DictConfig, Launcher]:
        """Return the config, composed without the axes of the sweep, and the launcher."""
        assert self.config is not None
        assert self.launcher is not None
        return self.config, self.launcher


class GridSweeper(RunnerSweeper):
    """A sweep over every combination, as one thing that continues."""

    def __init__(
        self,
        params: Any,
        zip: list[list[str]],
        exclude: list[dict[str, Any]],
    ) -> None:
        self.params = params or {}
        self.zip = zip
        self.exclude = exclude

    def sweep(self, arguments: list[str]) -> Any:
        from runner.cli.sweeps.start import sweep_grid

        config, launcher = self.handed_over()
        return sweep_grid(
            config,
            arguments,
            launcher,
            params=self.params,
            zip=self.zip,
            exclude=self.exclude,
        )


class SearchSweeper(RunnerSweeper):
    """A search that proposes one run after the other, as one thing that continues."""

    def __init__(self, kind: str, params: Any, objectives: Any, **options: Any) -> None:
        self.kind = kind
        self.params = params or {}
        self.options = {**options, "objectives": dict(objectives or {})}

    def sweep(self, arguments: list[str]) -> Any:
        from runner.cli.sweeps.search import sweep_search
        from runner.sweeps.search.options import SearchOptions

        config, launcher = self.handed_over()
        options = {"sampler": "random"} if self.kind == "random" else {}
        return sweep_search(
            config,
            arguments,
            launcher,
            kind=self.kind,
            params=self.params,
            options=SearchOptions(**options, **self.options),
        )
