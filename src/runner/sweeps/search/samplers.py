"""Optuna's samplers, pruners and distributions for what our options and spaces say."""

import random
from collections.abc import Mapping

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, CmaEsSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import Trial

from runner.config.space import Choices, Space
from runner.sweeps.search.options import SearchOptions


def sampler_of(options: SearchOptions, trial: int, key: str = "") -> BaseSampler:
    """Return the sampler for this trial, or for a key of it that is drawn by itself.

    It is seeded by these, so that what it proposes does not depend on where the sweep was stopped;
    what the earlier trials taught is in the study.
    """
    seed = random.Random(f"{options.seed}/{trial}/{key}").getrandbits(32)
    match options.sampler:
        case "random":
            return RandomSampler(seed=seed)
        case "cmaes":
            # What it cannot learn (choices) is drawn at random, which is no news in every trial.
            return CmaEsSampler(
                seed=seed,
                n_startup_trials=options.startup_trials or 1,
                warn_independent_sampling=False,
            )
        case "nsgaii":
            return NSGAIISampler(seed=seed, population_size=options.startup_trials or 50)
        case _:
            return TPESampler(
                seed=seed,
                n_startup_trials=options.startup_trials or 10,
                constant_liar=True,  # runs under way count as bad: others are tried meanwhile
            )


def distributions_of(spaces: Mapping[str, Space]) -> dict[str, BaseDistribution]:
    """Return what Optuna calls these spaces."""
    return {key: _distribution(space) for key, space in spaces.items()}


def suggest(trial: Trial, key: str, distribution: BaseDistribution) -> None:
    """Let `trial` have a value for `key`, unless it has one."""
    match distribution:
        case CategoricalDistribution():
            trial.suggest_categorical(key, distribution.choices)
        case IntDistribution(low=low, high=high, log=log, step=step):
            trial.suggest_int(key, low, high, log=log, step=step)
        case FloatDistribution(low=low, high=high, log=log, step=step):
            trial.suggest_float(key, low, high, log=log, step=step)


def _distribution(space: Space) -> BaseDistribution:
    if isinstance(space, Choices):
        return CategoricalDistribution(space.values)
    if space.is_int:
        return IntDistribution(
            int(space.low), int(space.high), log=space.log, step=int(space.step or 1)
        )
    return FloatDistribution(space.low, space.high, log=space.log, step=space.step)
