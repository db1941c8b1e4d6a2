from typing import Any

import pytest

from runner.config.spaces import read_search
from runner.errors import ConfigError
from runner.sweeps.search.options import SearchOptions, check_search

TWO = {"evaluation.loss": "min", "evaluation.accuracy": "max"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_trials": 0}, "n_trials must be >= 1"),
        ({"sampler": "tpee"}, "did you mean 'tpe'"),
        ({"seed": -1}, "seed must be >= 0"),
        ({"startup_trials": 0}, "startup_trials must be >= 1"),
        ({"sampler": "random", "startup_trials": 5}, "learns nothing"),
        ({"pruner": "medium"}, "did you mean 'median'"),
        ({"pruner": "median", "pruning_warmup": "2 minutes"}, "cannot be counted in minutes"),
        ({"pruning_warmup": "2 epochs"}, "needs hydra.sweeper.pruner"),
        ({"pruner": "hyperband", "pruning_startup_trials": 3}, "needs hydra.sweeper.pruner=median"),
        ({"pruner": "median", "objectives": TWO}, "judges by one score"),
        ({"sampler": "cmaes", "objectives": TWO}, "follows one objective, and there are 2"),
        ({"objectives": {"loss": "min"}}, "write it as in the journal"),
        ({"objectives": {"evaluation.loss": "smallest"}}, "must be min or max"),
    ],
)
def test_what_makes_no_sense_is_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SearchOptions(**options)


@pytest.mark.parametrize(
    ("options", "metric", "message"),
    [
        ({"pruner": "median"}, "train.loss", "is not measured there"),
        ({"sampler": "cmaes"}, "evaluation.loss", "at least two keys .* got 1"),
    ],
)
def test_what_does_not_fit_the_runs_is_told(
    options: dict[str, Any], metric: str, message: str
) -> None:
    spaces = read_search(["x=interval(0,1)", "model=a,b"]).spaces
    with pytest.raises(ConfigError, match=message):
        check_search(SearchOptions(**options), spaces, best_metric=metric)
    check_search(SearchOptions(), spaces, best_metric=metric)


def test_objectives_and_pruners_that_make_sense_are_taken() -> None:
    assert not SearchOptions(sampler="nsgaii", objectives=TWO, startup_trials=20).prunes
    assert SearchOptions(pruner="hyperband", pruning_warmup="3 evaluations").prunes
    assert SearchOptions(pruner="median", pruning_startup_trials=2).prunes
