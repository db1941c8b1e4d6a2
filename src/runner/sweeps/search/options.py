"""What a search is told: the knobs of `hydra/sweeper=random` and `hydra/sweeper=optuna`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from runner.config.checks import at_least, is_duration, one_of, refuse
from runner.config.duration import PROGRESS_UNITS
from runner.config.space import Interval, Space
from runner.errors import ConfigError

SAMPLERS = ("tpe", "cmaes", "nsgaii", "random")
PRUNERS = ("none", "median", "hyperband")


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """How to search; `hydra/sweeper=random` is the sampler `random`."""

    n_trials: int = 20  # in all: a sweep that is continued tops up to it
    sampler: str = "tpe"  # tpe | cmaes | nsgaii | random
    # Drawn at random before the sampler learns from them; null: tpe 10, cmaes 1, nsgaii 50, which
    # is then the size of its generations.
    startup_trials: int | None = None
    seed: int = 0
    # Several goals at once, "evaluation.loss": min | max; empty: trainer.best_metric.
    objectives: Mapping[str, str] = field(default_factory=dict)
    pruner: str = "none"  # none | median | hyperband: end a run early that falls behind the others
    pruning_warmup: str | None = None  # no run is ended before, such as "3 evaluations"
    pruning_startup_trials: int | None = None  # that median waits for; null: 5

    def __post_init__(self) -> None:
        refuse(
            at_least("hydra.sweeper.n_trials", self.n_trials, 1),
            one_of("hydra.sweeper.sampler", self.sampler, SAMPLERS),
            at_least("hydra.sweeper.startup_trials", self.startup_trials, 1, "null: as usual"),
            at_least("hydra.sweeper.seed", self.seed, 0),
            *(_check_objective(name, mode) for name, mode in self.objectives.items()),
            one_of("hydra.sweeper.pruner", self.pruner, PRUNERS),
            is_duration("hydra.sweeper.pruning_warmup", self.pruning_warmup, PROGRESS_UNITS),
            at_least("hydra.sweeper.pruning_startup_trials", self.pruning_startup_trials, 1),
            *self._check_sampler(),
            *self._check_pruner(),
        )

    @property
    def prunes(self) -> bool:
        """Return whether runs may be ended early."""
        return self.pruner != "none"

    def _check_sampler(self) -> Iterator[str]:
        if self.sampler == "cmaes" and len(self.objectives) > 1:
            yield (
                "hydra.sweeper.sampler=cmaes follows one objective, and there are "
                f"{len(self.objectives)}: use tpe or nsgaii"
            )
        if self.sampler == "random" and self.startup_trials is not None:
            yield "hydra.sweeper.startup_trials: a random search learns nothing, leave it out"

    def _check_pruner(self) -> Iterator[str]:
        if self.prunes and self.objectives:
            yield (
                "hydra.sweeper.pruner judges by one score, trainer.best_metric, and "
                "hydra.sweeper.objectives names others: leave out one of them"
            )
        if not self.prunes and self.pruning_warmup is not None:
            yield "hydra.sweeper.pruning_warmup needs hydra.sweeper.pruner=median or hyperband"
        if self.pruner != "median" and self.pruning_startup_trials is not None:
            yield "hydra.sweeper.pruning_startup_trials needs hydra.sweeper.pruner=median"


def check_search(options: SearchOptions, spaces: Mapping[str, Space], *, best_metric: str) -> None:
    """Raise ConfigError for options that these spaces, or the config of the runs, do not allow."""
    num_intervals = sum(isinstance(space, Interval) for space in spaces.values())
    if options.sampler == "cmaes" and num_intervals < 2:
        raise ConfigError(
            "hydra.sweeper.sampler=cmaes learns of numbers alone and needs at least two keys with "
            f"an interval or a range, got {num_intervals}: use tpe"
        )
    if options.prunes and not best_metric.startswith("evaluation."):
        raise ConfigError(
            f"hydra.sweeper.pruner={options.pruner} judges a run at its evaluations, and "
            f"trainer.best_metric={best_metric} is not measured there: give trainer.best_metric="
            "evaluation.*, or hydra.sweeper.pruner=none"
        )


def _check_objective(name: str, mode: str) -> str | None:
    split, _, metric = name.partition(".")
    if not (split and metric):
        return (
            f"hydra.sweeper.objectives: '{name}' is no metric, write it as in the journal, such as "
            "evaluation.loss"
        )
    return one_of(f"hydra.sweeper.objectives.{name}", mode, ("min", "max"))
