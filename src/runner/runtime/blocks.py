"""The repeating blocks of a model, by which it can be cut."""

from collections.abc import Iterator

from torch import nn


def containers(model: nn.Module) -> Iterator[nn.ModuleList | nn.Sequential]:
    """Yield each nn.ModuleList and nn.Sequential of two members or more that has parameters."""
    for module in model.modules():
        is_container = isinstance(module, nn.ModuleList | nn.Sequential)
        if is_container and len(module) > 1 and any(True for _ in module.parameters()):
            yield module


def is_block(module: nn.Module) -> bool:
    """Return whether `module` is made of others."""
    return any(True for _ in module.children())
