"""Build the parts of a training from a config."""

from collections.abc import Mapping

import torch

from runner.build.assemble import assemble
from runner.build.pruning import with_pruning
from runner.config.instantiate import instantiate, instantiate_each
from runner.config.run_config import RunConfig
from runner.runtime.ranks import ALONE, Ranks
from runner.runtime.seeds import seed_everything
from runner.sweeps.search.pruning import Pruning
from runner.trackers.tracker import Tracker
from runner.training.parts import Parts


def build_parts(
    config: RunConfig,
    device: torch.device,
    ranks: Ranks = ALONE,
    *,
    pruning: Pruning | None = None,
) -> Parts:
    """Return what `config` describes, on `device`; the seed decides the first weights.

    `pruning` lets a search end the training early.
    """
    seed_everything(config.seed)
    parts = assemble(
        data=instantiate(config.data, "data"),
        model=instantiate(config.model, "model"),
        task=instantiate(config.task, "task"),
        optimizer=instantiate_each(config.optimizer, "optimizer"),
        scheduler=instantiate_each(config.scheduler, "scheduler"),
        callbacks={
            name: instantiate(node, f"callbacks.{name}") for name, node in config.callbacks.items()
        },
        options=config.options,
        device=device,
        ranks=ranks,
    )
    return parts if pruning is None else with_pruning(parts, pruning)


def build_trackers(config: RunConfig) -> Mapping[str, Tracker]:
    """Return the trackers of `config` by name."""
    return {name: instantiate(node, f"trackers.{name}") for name, node in config.trackers.items()}
