"""Find parameters and modules of a model by glob patterns over their names."""

from fnmatch import fnmatchcase

from torch import nn

from runner.errors import ConfigError, did_you_mean

_SHOWN = 10  # names of a model in an error


def fits_name(name: str, pattern: str) -> bool:
    """Return whether `pattern` fits the dotted `name`, or that of a module around it."""
    parts = name.split(".")
    return any(fnmatchcase(".".join(parts[:end]), pattern) for end in range(1, len(parts) + 1))


def matching(model: nn.Module, pattern: str, *, key: str) -> list[nn.Parameter]:
    """Return the parameters of `model` that `pattern` fits, also by their second name.

    ConfigError, naming the config path `key`, when there are none.
    """
    named = dict(model.named_parameters(remove_duplicate=False))
    found = [parameter for name, parameter in named.items() if fits_name(name, pattern)]
    if not found:
        raise ConfigError(
            f"{key}: no parameter or module of the model is called '{pattern}'"
            f"{did_you_mean(pattern, _known(named)) or _at_the_top(named)}"
        )
    return list(dict.fromkeys(found))


def _known(parameters: dict[str, nn.Parameter]) -> list[str]:
    modules = {name.rpartition(".")[0] for name in parameters} - {""}
    modules |= {".".join(name.split(".")[:end]) for name in modules for end in range(1, 9)}
    return [*parameters, *sorted(modules), *(f"{name}.*" for name in sorted(modules))]


def _at_the_top(parameters: dict[str, nn.Parameter]) -> str:
    """Return what a pattern that resembles nothing could begin with."""
    first = list(dict.fromkeys(name.partition(".")[0] for name in parameters))
    more = f" and {len(first) - _SHOWN} more" if len(first) > _SHOWN else ""
    return f" (at its top are {', '.join(first[:_SHOWN])}{more})" if first else ""
