"""Weights for a model, from a run or from a checkpoint."""

from pathlib import Path

from torch import nn

from runner.build.trained import trained_step
from runner.checkpoint.store import CheckpointStore
from runner.errors import RunError
from runner.run.directory import RunDirectory


def read_weights(path: Path, model: nn.Module, *, step: int | None = None) -> None:
    """Give `model` the weights in `path`: of a run, its best or those of `step`; of a checkpoint.

    Raises CheckpointError or RunError when there are none, or they do not fit.
    """
    directory = RunDirectory(path)
    if directory.provenance.is_file():
        store = CheckpointStore(directory.checkpoints)
        store.read_weights(trained_step(directory, step), model)
        return
    raise RunError(f"{path} is no run")
