"""The task of a training, from a task, from a loss, or from a model that computes its own."""

from typing import Any

from torch import nn

from runner.errors import ConfigError


def read_task(task: Any, *, loss: Any, metrics: Any, model: nn.Module) -> Any:
    """Return the task; ConfigError if nothing tells it, or two things do."""
    if task is not None:
        if loss is not None or metrics is not None:
            raise ConfigError(
                "task: it has its loss and its metrics; give loss and metrics to the task itself, "
                "or leave the task out"
            )
        return task
    raise ConfigError(
        f"task: give one, or a loss such as loss='mse_loss': {type(model).__name__} computes no "
        "loss of its own"
    )
