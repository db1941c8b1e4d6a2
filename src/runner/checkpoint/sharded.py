"""Checkpoints of a model that is spread over ranks, for any number of ranks, or one, to load.

Tensors are named for the plain module: `model.NAME`, `average.NAME`, `optimizer.KEY.NAME`. Tied
parameters are written once. What is not spread (buffers, hyperparameters) is what rank 0 has.
"""

import io
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.distributed_c10d import ProcessGroup
from torch.optim import Optimizer

from runner.checkpoint.parts import METADATA, cancel_parts, read_parts, records, write_parts
from runner.checkpoint.spread import own_memory
from runner.errors import CheckpointError, did_you_mean

_MODEL, _AVERAGE, _OPTIMIZER, _REST = "model.", "average.", "optimizer.", "rest"
_FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class ShardedState:
    """What one rank writes: its part of each tensor, on the host, and all that is no tensor."""

    tensors: dict[str, Tensor]
    rest: dict[str, Any]


def holds_sharded(path: Path) -> bool:
    """Return whether the directory `path` has a sharded checkpoint in it."""
    return (path / METADATA).is_file()


def host_copy(
    model: nn.Module,
    optimizer: Optimizer,
    average: nn.Module | None = None,
    *,
    reuse: ShardedState | None = None,
) -> ShardedState:
    """Return a copy of this rank's part, which a thread can write while training goes on.

    `reuse` is an earlier copy that nobody reads any more: its memory is taken.
    """
    sources, tied = _weights(model, average)
    names = _names(model)
    scalars: dict[str, dict[str, Any]] = {}
    for parameter, values in optimizer.state.items():
        for key, value in values.items():
            if isinstance(value, Tensor):
                sources[f"{_OPTIMIZER}{key}.{names[parameter]}"] = value
            else:
                scalars.setdefault(names[parameter], {})[key] = value
    groups = [
        {**group, "params": [names[parameter] for parameter in group["params"]]}
        for group in optimizer.param_groups
    ]
    rest = {"format": _FORMAT_VERSION, "tied": tied, "groups": groups, "scalars": scalars}
    buffers = {} if reuse is None else reuse.tensors
    return ShardedState(
        tensors={name: _to_host(value, buffers.get(name)) for name, value in sources.items()},
        rest=deepcopy(rest),
    )


def save_sharded(
    state: ShardedState,
    path: Path,
    *,
    group: ProcessGroup,
    beat: Callable[[], None] = lambda: None,
) -> None:
    """Write `state` into the directory `path`; every rank of `group` calls this.

    The only collectives are on `group`, so that a thread can do this while others train. Nothing is
    touched before rank 0, which makes `path`, is here; a rank 0 that cannot come calls
    `cancel_save`. Raises OSError on every rank when one of them cannot write. `beat` is called for
    each tensor.
    """
    write_parts({**state.tensors, _REST: _packed(state.rest)}, path, group=group, beat=beat)


def cancel_save(*, group: ProcessGroup) -> None:
    """Let the other ranks' `save_sharded` end with an OSError; rank 0 alone calls this."""
    cancel_parts(group=group)


def load_sharded(
    path: Path,
    model: nn.Module,
    optimizer: Optimizer,
    average: nn.Module | None = None,
    *,
    beat: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Load the weights in `path` into model and average; return the state dict of the optimizer.

    All may be sharded or not. Every rank reads its own part, without a collective. Loading runs no
    code from the files (see parts.py). CheckpointError names what is missing or unexpected.
    `beat` is called for each tensor.
    """
    saved = records(path)
    rest = _read_rest(path, saved)
    targets, _ = _weights(model, average)
    _check_fit(str(path), targets, _shapes(saved, _MODEL, _AVERAGE))
    names = _names(model)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    _check_groups(path, optimizer, names, rest["groups"])
    states: dict[int, dict[str, Any]] = {
        index: dict(rest["scalars"].get(names[parameter], {}))
        for index, parameter in enumerate(parameters)
    }
    index_of = {names[parameter]: index for index, parameter in enumerate(parameters)}
    for full_name in saved:
        if full_name.startswith(_OPTIMIZER):
            key, name = full_name.removeprefix(_OPTIMIZER).split(".", 1)
            state = _empty(saved[full_name], like=parameters[index_of[name]])
            states[index_of[name]][key] = targets[full_name] = state
    read_parts(targets, path, beat=beat)
    indices = iter(range(len(parameters)))
    groups = [{**g, "params": [next(indices) for _ in g["params"]]} for g in rest["groups"]]
    return {"state": {i: state for i, state in states.items() if state}, "param_groups": groups}


def load_sharded_weights(path: Path, model: nn.Module) -> None:
    """Load the averaged weights in `path`, or else the weights, into `model`, sharded or not."""
    saved = records(path)
    prefix = _best_prefix(saved)
    sources, _ = _unique(model)
    targets = {f"{prefix}{name}": tensor for name, tensor in sources.items()}
    _check_fit(str(path), targets, _shapes(saved, prefix))
    read_parts(targets, path)


def read_sharded_weights(path: Path) -> dict[str, Tensor]:
    """Return the averaged weights in `path`, or else the weights, whole, in one process.

    Under the names of the plain module's `state_dict`; tied ones are the same tensor.
    """
    saved = records(path)
    prefix = _best_prefix(saved)
    whole = {name: _empty(saved[name]) for name in saved if name.startswith(prefix)}
    read_parts(whole, path)
    weights = {name.removeprefix(prefix): tensor for name, tensor in whole.items()}
    tied = _read_rest(path, saved)["tied"]
    return weights | {name: weights[source] for name, source in tied.items()}


def _names(model: nn.Module) -> dict[Tensor, str]:
    """Return the name of each tensor; of tied ones, the first."""
    return {tensor: name for name, tensor in _unique(model)[0].items()}


def _unique(model: nn.Module) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the weights by name, tied ones once, and which names stand for another."""
    first: dict[Tensor, str] = {}
    tied: dict[str, str] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if first.setdefault(tensor, name) != name:
            tied[name] = first[tensor]
    return {name: tensor for tensor, name in first.items()}, tied


def _weights(
    model: nn.Module, average: nn.Module | None
) -> tuple[dict[str, Tensor], dict[str, str]]:
    weights, tied = _unique(model)
    named = {f"{_MODEL}{name}": tensor.detach() for name, tensor in weights.items()}
    if average is not None:
        averaged, _ = _unique(average)
        named |= {f"{_AVERAGE}{name}": tensor.detach() for name, tensor in averaged.items()}
    return named, tied


def _best_prefix(saved: Iterable[str]) -> str:
    return _AVERAGE if any(name.startswith(_AVERAGE) for name in saved) else _MODEL


def _check_fit(owner: str, targets: Mapping[str, Tensor], saved: Mapping[str, torch.Size]) -> None:
    problems = [f"{name} is missing from it" for name in targets if name not in saved]
    problems += [
        f"{name} is unexpected{did_you_mean(name, targets)}"
        for name in saved
        if name not in targets
    ]
    problems += [
        f"{name} has shape {tuple(saved[name])}, the model has {tuple(tensor.shape)}"
        for name, tensor in targets.items()
        if name in saved and saved[name] != tensor.shape
    ]
    if problems:
        raise CheckpointError(f"{owner} does not fit: " + "; ".join(problems))


def _shapes(saved: Mapping[str, TensorStorageMetadata], *prefixes: str) -> dict[str, torch.Size]:
    return {name: record.size for name, record in saved.items() if name.startswith(prefixes)}


def _check_groups(
    path: Path, optimizer: Optimizer, names: Mapping[Tensor, str], saved: list[dict[str, Any]]
) -> None:
    have = [[names[parameter] for parameter in group["params"]] for group in optimizer.param_groups]
    expected = [group["params"] for group in saved]
    if have == expected:
        return
    missing = {name for group in have for name in group} - {n for group in expected for n in group}
    unexpected = {n for group in expected for n in group} - {n for group in have for n in group}
    raise CheckpointError(
        f"{path} does not fit the optimizer, which has parameters in {len(have)} group(s), it in "
        f"{len(expected)}; missing from it: {sorted(missing)}; unexpected: {sorted(unexpected)}"
    )


def _to_host(tensor: Tensor, buffer: Tensor | None) -> Tensor:
    if buffer is None or buffer.shape != tensor.shape or buffer.dtype != tensor.dtype:
        return tensor.detach().to("cpu", copy=True)
    own_memory(buffer).copy_(own_memory(tensor.detach()))
    return buffer


def _empty(record: TensorStorageMetadata, *, like: Tensor | None = None) -> Tensor:
    """Return a tensor to read `record` into, laid out as `like` is if it has the same shape."""
    if like is not None and record.size == like.shape:
        return torch.zeros_like(like, dtype=record.properties.dtype, requires_grad=False)
    return torch.empty(record.size, dtype=record.properties.dtype)


def _packed(value: dict[str, Any]) -> Tensor:
    file = io.BytesIO()
    torch.save(value, file)
    return torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)


def _read_rest(path: Path, saved: Mapping[str, TensorStorageMetadata]) -> dict[str, Any]:
    if _REST not in saved:
        raise CheckpointError(f"{path} was not written by runner: it has no '{_REST}'")
    packed = _empty(saved[_REST])
    read_parts({_REST: packed}, path)
    rest = torch.load(io.BytesIO(packed.numpy().tobytes()), weights_only=True)
    if rest["format"] > _FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format {rest['format']}, this runner reads up to {_FORMAT_VERSION}: "
            "use a newer runner"
        )
    return rest
