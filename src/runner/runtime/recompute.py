"""Compute parts of a model again in backward instead of keeping what they computed in forward.

After Chen et al., "Training Deep Nets with Sublinear Memory Cost" (2016). The same operations on
the same numbers, drawn again where they are random: losses and gradients keep their bits.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from runner.errors import ConfigError
from runner.runtime.blocks import is_block, separate_containers

_MARK = "_recomputes_by_options"  # on a model of transformers


def recompute_blocks(model: nn.Module) -> None:
    """Make `model` keep only what enters its blocks, in place; names and classes stay.

    A model of `transformers` does it by its own method. Of another one, the blocks are the members
    of each nn.ModuleList or nn.Sequential (of one within another, the longer one); a Sequential of
    plain layers is cut in about as many parts as there are layers in each. Raises
    ConfigError for a model that has neither.
    """
    if getattr(model, "supports_gradient_checkpointing", False):
        _by_transformers(model)
        return
    found = separate_containers(model)
    if not found:
        raise ConfigError(
            f"trainer.gradient_checkpointing: {type(model).__name__} has nothing to compute again: "
            "no nn.ModuleList or nn.Sequential of two members or more with parameters; set it to "
            "false"
        )
    for container in found:
        _recompute_members(container)


def _recompute_members(container: nn.ModuleList | nn.Sequential) -> None:
    if isinstance(container, nn.Sequential) and not any(is_block(layer) for layer in container):
        container.forward = partial(  # pyright: ignore[reportAttributeAccessIssue]
            _in_parts, container
        )
        return
    for block in container:
        block.forward = partial(_once_more, block, block.forward)


def keep_blocks(model: nn.Module) -> None:
    """Undo `recompute_blocks`, if `model` had it."""
    if hasattr(model, _MARK):
        delattr(model, _MARK)
        _no_more_by_transformers(model)
    for module in model.modules():
        own: Any = vars(module).get("forward")
        made = getattr(own, "func", None)
        if made is not _in_parts and made is not _once_more:
            continue
        del module.forward
        if made is _once_more and not _is_of_class(own.args[1], module):
            module.forward = own.args[1]


def _is_of_class(forward: Any, module: nn.Module) -> bool:
    return getattr(forward, "__func__", None) is type(module).forward


def _by_transformers(model: Any) -> None:
    if any(getattr(module, "gradient_checkpointing", False) for module in model.modules()):
        return  # by its owner, and so for good
    setattr(model, _MARK, True)
    if hasattr(model, "activation_checkpointing_enable"):  # its name from 5.20 or so on
        model.activation_checkpointing_enable({"use_reentrant": False})
    else:
        model.gradient_checkpointing_enable({"use_reentrant": False})


def _no_more_by_transformers(model: Any) -> None:
    if hasattr(model, "activation_checkpointing_disable"):
        model.activation_checkpointing_disable()
    else:
        model.gradient_checkpointing_disable()


def _in_parts(layers: nn.Sequential, inputs: Any) -> Any:
    members = list(layers)
    size = math.ceil(math.sqrt(len(members)))
    for start in range(0, len(members), size):
        part = nn.Sequential(*members[start : start + size])
        inputs = _once_more(part, partial(_through, part), inputs)
    return inputs


def _through(layers: nn.Sequential, inputs: Any) -> Any:
    for layer in layers:
        inputs = layer(inputs)
    return inputs


def _once_more(block: nn.Module, forward: Callable[..., Any], *inputs: Any, **named: Any) -> Any:
    """Call `forward`; if it is to have a backward pass, keep nothing of it but its inputs."""
    if not torch.is_grad_enabled():
        return forward(*inputs, **named)
    from torch.utils.checkpoint import checkpoint

    contexts = partial(_first_and_second, block)
    return checkpoint(forward, *inputs, use_reentrant=False, context_fn=contexts, **named)


def _first_and_second(
    block: nn.Module,
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _unchanged_buffers(block)


@contextmanager
def _unchanged_buffers(block: nn.Module) -> Iterator[None]:
    """Put buffers back at the end: a running mean takes in a batch once, not twice."""
    buffers: list[Tensor] = list(block.buffers())
    kept = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(buffers, kept, strict=True):
                buffer.copy_(value)
