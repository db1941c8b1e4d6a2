"""The repeating blocks of a model, by which it can be cut."""

from collections.abc import Iterator

from torch import nn


def containers(model: nn.Module) -> Iterator[nn.ModuleList | nn.Sequential]:
    """Yield each nn.ModuleList and nn.Sequential of two members or more that has parameters."""
    for module in model.modules():
        is_container = isinstance(module, nn.ModuleList | nn.Sequential)
        if is_container and len(module) > 1 and any(True for _ in module.parameters()):
            yield module


def separate_containers(model: nn.Module) -> list[nn.ModuleList | nn.Sequential]:
    """Return containers that share no module, the longest first.

    Of one within another the longer one is taken.
    """
    taken: list[nn.ModuleList | nn.Sequential] = []
    covered: set[nn.Module] = set()
    for container in sorted(containers(model), key=len, reverse=True):  # equals keep their order
        modules = set(container.modules())
        if covered.isdisjoint(modules):
            taken.append(container)
            covered |= modules
    return taken


def is_block(module: nn.Module) -> bool:
    """Return whether `module` is made of others."""
    return any(True for _ in module.children())
