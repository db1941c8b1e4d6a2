"""Compare an exported model with its original, on what it will be used for."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from runner.data.data import Batch
from runner.errors import RunError
from runner.inference.call import Call, StandIn, as_mapping, watch
from runner.tasks.task import Task

TOLERANCE = 1e-3  # of the largest output; in float32 differences are a thousandth of that


@dataclass(frozen=True, kw_only=True)
class Checked:
    """How an exported model agrees with its original; both in float32, but for `num_own`."""

    num_samples: int
    difference: float  # the largest one of any output
    num_own: int  # texts that the original reads otherwise in the run's own precision


@dataclass(frozen=True, kw_only=True)
class Original:
    """The model that was trained, as its task uses it, and batches to try it on."""

    model: nn.Module
    task: Task
    batches: Sequence[Batch]
    autocast: Callable[[], Any]  # the run's own precision


def check_exported(original: Original, exported: StandIn, *, any_batch: bool) -> Checked:
    """Return how `exported` agrees with the original; RunError if it is another model.

    All outputs have to be the same but for rounding, and all texts the same, for each batch and
    with `any_batch` for a sample alone.
    """
    difference, num_samples, num_own = 0.0, 0, 0
    for number, batch in enumerate(original.batches):
        call, wanted = watch(original.model, original.task, batch, autocast=nullcontext)
        with torch.inference_mode():
            found = original.task.predict(exported, batch)
        if found.texts != wanted.texts:
            wrong = sum(a != b for a, b in zip(found.texts, wanted.texts, strict=True))
            raise RunError(f"it predicts {wrong} of {len(wanted.texts)} samples otherwise")
        calls = [call, call.sliced(1)] if any_batch and number == 0 else [call]
        difference = max(difference, *(_difference(original.model, exported, c) for c in calls))
        _, own = watch(original.model, original.task, batch, autocast=original.autocast)
        num_own += sum(a != b for a, b in zip(own.texts, wanted.texts, strict=True))
        num_samples += len(wanted.texts)
    return Checked(num_samples=num_samples, difference=difference, num_own=num_own)


def _difference(model: nn.Module, exported: StandIn, call: Call) -> float:
    """Return the largest difference of an output; RunError if it is more than rounding gives."""
    positional = list(call.tensors.values())[: call.num_positional]
    names = list(call.tensors)[call.num_positional :]
    named = {name: call.tensors[name] for name in names}
    with torch.inference_mode():
        wanted = as_mapping(model(*positional, **named, **call.constants))
        found = as_mapping(exported(*positional, **named))
    largest = 0.0
    for name, tensor in wanted.items():
        difference = _largest(found[name].double() - tensor.double())
        allowed = TOLERANCE * max(1.0, _largest(tensor))
        if not difference <= allowed:
            raise RunError(
                f"its {name} differs from the original's by {difference:.2g}, "
                f"and {allowed:.2g} is the most that rounding explains"
            )
        largest = max(largest, difference)
    return largest


def _largest(tensor: Tensor) -> float:
    return float(tensor.double().abs().max()) if tensor.numel() else 0.0
