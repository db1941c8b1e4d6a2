"""Parameters in groups that learn differently, and the optimizer made of them.

Each group has, besides what the optimizer keeps in it, a `name` and its `lr_factor`.
"""

from dataclasses import dataclass
from inspect import Parameter, signature

from torch import nn
from torch.optim import Optimizer

from runner.config.options import ParameterOptions
from runner.errors import ConfigError
from runner.optim.layers import layer_depths
from runner.optim.optimization import LR_FACTOR, NAME, OptimizerFactory
from runner.optim.patterns import matching

_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.modules.batchnorm._NormBase)


@dataclass(frozen=True)
class Kind:
    """How the parameters of one group learn: a name, times optimizer.lr, and whether they decay."""

    name: str = "default"
    lr_factor: float = 1.0
    decays: bool = True


def optimizer_of(
    factory: OptimizerFactory, model: nn.Module, options: ParameterOptions
) -> Optimizer:
    """Return the optimizer of `factory` for the parameters of `model` that are trained.

    With the default `options` it gets `model.parameters()` and nothing else. ConfigError for what
    does not fit the model or the optimizer.
    """
    if not has_groups(options):
        kept = (p for p in model.parameters() if p.requires_grad)
        return _checked(factory(list(kept) if options.freeze else model.parameters()))
    kinds = group_kinds(model, options)
    groups: dict[Kind, list[nn.Parameter]] = {}
    for parameter, kind in kinds.items():
        groups.setdefault(kind, []).append(parameter)
    optimizer = _checked(factory([{"params": members} for members in groups.values()]))
    if not options.decay_biases_and_norms and "weight_decay" not in optimizer.defaults:
        raise ConfigError(
            f"parameters.decay_biases_and_norms=false: {type(optimizer).__name__} has no "
            "weight_decay at all"
        )
    for kind, group in zip(groups, optimizer.param_groups, strict=True):
        group |= {NAME: kind.name, LR_FACTOR: kind.lr_factor, "lr": group["lr"] * kind.lr_factor}
        if not kind.decays:
            group["weight_decay"] = 0.0
    return optimizer


def has_groups(options: ParameterOptions) -> bool:
    """Return whether `options` ask for more than one group."""
    is_alike = options.layer_decay is None and options.decay_biases_and_norms
    return not (is_alike and not options.lr_factors)


def group_kinds(model: nn.Module, options: ParameterOptions) -> dict[nn.Parameter, Kind]:
    """Return of each parameter that is trained, in the order of the model, how it learns."""
    kinds = {parameter: Kind() for parameter in model.parameters() if parameter.requires_grad}
    if options.layer_decay is not None:
        depths = layer_depths(model)
        top = max(depths.values())
        for parameter in kinds:
            depth = depths[parameter]
            kinds[parameter] = Kind(f"layer_{depth}", options.layer_decay ** (top - depth))
    for parameter, (pattern, factor) in _factors(model, options.lr_factors or {}).items():
        if parameter in kinds:
            below = kinds[parameter]
            name = pattern if options.layer_decay is None else f"{below.name}/{pattern}"
            kinds[parameter] = Kind(name, below.lr_factor * factor)
    if not options.decay_biases_and_norms:
        spared = _biases_and_norms(model)
        kinds = {p: _without_decay(kind) if p in spared else kind for p, kind in kinds.items()}
    return kinds


def _factors(
    model: nn.Module, lr_factors: dict[str, float]
) -> dict[nn.Parameter, tuple[str, float]]:
    """Return pattern and factor of each parameter that has one; the last pattern counts."""
    return {
        parameter: (pattern, factor)
        for pattern, factor in lr_factors.items()
        for parameter in matching(model, pattern, key="parameters.lr_factors")
    }


def _biases_and_norms(model: nn.Module) -> set[nn.Parameter]:
    of_norms = {
        parameter
        for module in model.modules()
        if isinstance(module, _NORMS)
        for parameter in module.parameters(recurse=False)
    }
    named = model.named_parameters()
    return of_norms | {p for name, p in named if p.ndim <= 1 or name.rpartition(".")[2] == "bias"}


def _without_decay(kind: Kind) -> Kind:
    return Kind(f"{kind.name}/no_decay", kind.lr_factor, decays=False)


def _checked(optimizer: Optimizer) -> Optimizer:
    """Return `optimizer`, or raise ConfigError for one that would call the model itself."""
    closure = signature(optimizer.step).parameters.get("closure")
    if closure is not None and closure.default is Parameter.empty:
        raise ConfigError(
            f"{type(optimizer).__name__} computes the loss several times in one step (it needs a "
            "closure), which training in micro-batches does not: use another optimizer"
        )
    return optimizer
