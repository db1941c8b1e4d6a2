"""Leave parts of a model as they are: no gradient, and running statistics that stay."""

from collections.abc import Sequence
from functools import partial

from torch import nn

from runner.errors import ConfigError
from runner.optim.patterns import fits_name, matching

_MARK = "_frozen_by_options"  # on a parameter


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Freeze, in place, the parameters of `model` that one of `patterns` fits.

    Norm layers in there that keep running statistics use the ones they have, as in an evaluation.
    Dropout goes on. What an earlier call froze is free again, but for what one of `patterns` fits.
    ConfigError for a pattern that fits nothing, or when nothing is left to train.
    """
    _thaw(model)
    for pattern in patterns:
        for parameter in matching(model, pattern, key="parameters.freeze"):
            if parameter.requires_grad:  # else it was frozen by its owner, and stays so
                parameter.requires_grad_(False)
                setattr(parameter, _MARK, True)
    if not patterns:
        return
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError(f"parameters.freeze={list(patterns)} leaves nothing to train")
    for name, module in model.named_modules():
        if _keeps_statistics(module) and _is_frozen(name, module, patterns):
            module.train = partial(_stay_in_evaluation, module)  # type: ignore[method-assign]
            module.eval()


def _thaw(model: nn.Module) -> None:
    for parameter in model.parameters():
        if hasattr(parameter, _MARK):
            parameter.requires_grad_(True)
            delattr(parameter, _MARK)
    for module in model.modules():
        if getattr(module.train, "func", None) is _stay_in_evaluation:
            del module.train


def _keeps_statistics(module: nn.Module) -> bool:
    return getattr(module, "running_mean", None) is not None


def _is_frozen(name: str, module: nn.Module, patterns: Sequence[str]) -> bool:
    own = list(module.parameters(recurse=False))
    if own:
        return not any(parameter.requires_grad for parameter in own)
    return any(fits_name(name, pattern) for pattern in patterns)


def _stay_in_evaluation(module: nn.Module, mode: bool = True) -> nn.Module:
    """Stand in for `module.train`; a copy of the module has a copy that is bound to itself."""
    del mode
    return nn.Module.train(module, False)
