"""How a task calls its model: found out by watching, and done again with another model."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from runner.data.data import Batch
from runner.errors import RunError
from runner.tasks.task import Predictions, Task

SINGLE = "output"  # the name of what a model returns that returns one tensor
_PLAIN = (bool, int, float, str, type(None))
_OPTIONAL = ("labels", "past_key_values")  # of which the outputs that are exported do not depend


@dataclass(frozen=True)
class Call:
    """One call of a model: the tensors it was given by name, what else it was given."""

    tensors: dict[str, Tensor]
    constants: dict[str, Any]
    num_positional: int

    def sliced(self, count: int) -> "Call":
        """Return the call with the first `count` samples of those it has."""
        tensors = {name: tensor[:count] for name, tensor in self.tensors.items()}
        return Call(tensors, self.constants, self.num_positional)


class Watched(nn.Module):
    """A model that remembers how it was called, and can do nothing else than be called."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.calls: list[Call] = []

    def forward(self, *args: Any, **keywords: Any) -> Any:
        self.calls.append(_read_call(self.model, args, keywords))
        return named_outputs(self.model(*args, **keywords))


class Positional(nn.Module):
    """A model called as in `call`, that takes the tensors one after the other and returns a tuple.

    This is the form in which torch.export and ONNX have a model.
    """

    def __init__(self, model: nn.Module, call: Call) -> None:
        super().__init__()
        self.model = model
        self._names = list(call.tensors)
        self._num_positional = call.num_positional
        self._constants = call.constants

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.named(*tensors).values())

    def named(self, *tensors: Tensor) -> dict[str, Tensor]:
        """Return the outputs by name."""
        first, rest = tensors[: self._num_positional], tensors[self._num_positional :]
        names = self._names[self._num_positional :]
        named = dict(zip(names, rest, strict=True))
        return as_mapping(self.model(*first, **named, **self._constants))


class StandIn(nn.Module):
    """Called as the model was, it lets `compute`, tensors in and out, do the work."""

    def __init__(
        self,
        compute: Callable[[Sequence[Tensor]], Sequence[Tensor]],
        input_names: Sequence[str],
        output_names: Sequence[str],
    ) -> None:
        super().__init__()
        self._compute = compute
        self._inputs = list(input_names)
        self._outputs = list(output_names)

    def forward(self, *args: Any, **keywords: Any) -> Any:
        given = dict(zip(self._inputs, args, strict=False)) | keywords
        missing = [name for name in self._inputs if not isinstance(given.get(name), Tensor)]
        if missing:
            raise RunError(f"the exported model takes {', '.join(missing)}, which the batch lacks")
        try:
            found = self._compute([given[name] for name in self._inputs])
        except Exception as error:  # of many kinds, as the runtimes have them
            shapes = ", ".join(f"{name} {tuple(given[name].shape)}" for name in self._inputs)
            raise RunError(f"it does not run with {shapes}: {first_line(error)}") from error
        return from_mapping(dict(zip(self._outputs, found, strict=True)))


def watch(
    model: nn.Module, task: Task, batch: Batch, *, autocast: Callable[[], Any]
) -> tuple[Call, Predictions]:
    """Return how `task` calls `model` to predict `batch`, and what it predicts.

    Raises RunError if it does something else than call it once, with tensors.
    """
    watched = Watched(model).eval()
    try:
        with torch.inference_mode(), autocast():
            predictions = task.predict(watched, batch)
    except (AttributeError, TypeError, AssertionError, NotImplementedError) as error:
        raise RunError(
            f"{type(task).__name__} does more with its {type(model).__name__} than call it with a "
            f"batch ({first_line(error)})"
        ) from error
    if len(watched.calls) != 1:
        raise RunError(
            f"{type(task).__name__} calls its model {len(watched.calls)} times to predict a batch"
        )
    return watched.calls[0], predictions


def first_line(error: BaseException) -> str:
    """Return the first line that `error` says, with its kind."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def named_outputs(output: Any) -> Any:
    """Return the tensors that a model returned, in the form in which an exported one has them."""
    return from_mapping(as_mapping(output))


def as_mapping(output: Any) -> dict[str, Tensor]:
    """Return the tensors in what a model returned, by name; RunError if there are none."""
    if isinstance(output, Tensor):
        return {SINGLE: output}
    if isinstance(output, Mapping):
        named = {str(name): value for name, value in output.items() if name not in _OPTIONAL}
    elif isinstance(output, list | tuple):
        named = {f"{SINGLE}_{number}": value for number, value in enumerate(output)}
    else:
        named = {}
    tensors = {name: value for name, value in named.items() if isinstance(value, Tensor)}
    if not tensors:
        raise RunError(f"the model returns a {type(output).__name__}, in which no tensor is found")
    return tensors


def from_mapping(outputs: dict[str, Tensor]) -> Any:
    """Return what `as_mapping` was made of: a tensor, a tuple of them, or a mapping."""
    if list(outputs) == [SINGLE]:
        return outputs[SINGLE]
    if all(name.startswith(f"{SINGLE}_") for name in outputs):
        return tuple(outputs.values())
    return outputs


def _read_call(model: nn.Module, args: tuple[Any, ...], keywords: dict[str, Any]) -> Call:
    for number, value in enumerate(args):
        if not isinstance(value, Tensor):
            raise RunError(f"the model is given a {type(value).__name__} in place {number}")
    positional = dict(zip(_parameter_names(model, len(args)), args, strict=True))
    given = {name: value for name, value in keywords.items() if name not in _OPTIONAL}
    named = {name: value for name, value in given.items() if isinstance(value, Tensor)}
    constants = {name: value for name, value in given.items() if name not in named}
    for name, value in constants.items():
        if not isinstance(value, _PLAIN):
            raise RunError(f"the model is given a {type(value).__name__} as {name}")
    return Call({**positional, **named}, constants, len(args))


def _parameter_names(model: nn.Module, count: int) -> list[str]:
    names = list(inspect.signature(model.forward).parameters)[:count]
    return names if len(names) == count else [f"input_{number}" for number in range(count)]
