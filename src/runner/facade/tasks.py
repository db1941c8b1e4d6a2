"""The task of a training, from a task, from a loss, or from a model that computes its own."""

import inspect
from typing import Any

from torch import nn

from runner.errors import ConfigError
from runner.tasks.huggingface import HuggingFace
from runner.tasks.supervised import Supervised
from runner.tasks.task import Task

# What the labels of a model of `transformers` are, by the end of its class's name.
_LABELS = {
    "ForCausalLM": "next_tokens",
    "LMHeadModel": "next_tokens",
    "ForMaskedLM": "tokens",
    "ForSeq2SeqLM": "tokens",
    "ForConditionalGeneration": "tokens",
    "ForTokenClassification": "tokens",
    "ForSequenceClassification": "classes",
    "ForImageClassification": "classes",
}


def read_task(task: Any, *, loss: Any, metrics: Any, model: nn.Module) -> Task:
    """Return the task; ConfigError if nothing tells it, or two things do."""
    if task is not None:
        if loss is not None or metrics is not None:
            raise ConfigError(
                "task: it has its loss and its metrics; give loss and metrics to the task itself, "
                "or leave the task out"
            )
        return task
    if loss is not None:
        return Supervised(loss=loss, metrics=metrics)
    name = type(model).__name__
    if "labels" not in inspect.signature(model.forward).parameters:
        raise ConfigError(
            f"task: give one, or a loss such as loss='cross_entropy': {name} computes no loss of "
            "its own"
        )
    if metrics is not None:
        raise ConfigError(
            f"metrics: what {name} computes itself is measured by its own metrics; leave them out, "
            "or give a loss"
        )
    return HuggingFace(labels=_labels_of(model))


def _labels_of(model: nn.Module) -> str:
    name = type(model).__name__
    for ending, labels in _LABELS.items():
        if name.endswith(ending):
            is_number = getattr(getattr(model, "config", None), "num_labels", None) == 1
            return "values" if labels == "classes" and is_number else labels
    raise ConfigError(
        f"task: what the labels of {name} are cannot be told by its name: give "
        "task=runner.tasks.huggingface.HuggingFace(labels=...)"
    )
