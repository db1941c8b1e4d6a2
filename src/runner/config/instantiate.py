"""Build what a `_target_` node names."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import hydra.utils
from hydra.errors import InstantiationException

from runner.config.targets import PARTIAL, TARGET
from runner.errors import ConfigError, RunnerError

USER_MISTAKES = (ValueError, TypeError, RuntimeError, OSError, ImportError)


def instantiate(node: Mapping[str, Any], where: str = "", /, **arguments: Any) -> Any:
    """Return what `node` names, built with its own keys and `arguments`, handed over as they are.

    A node with `_partial_: true` gives a `functools.partial` of what it names. `where` is the
    config path of `node`, for messages. Raises ConfigError when the arguments are refused, also by
    a later call of the partial; an exception that looks like a bug of the target keeps its type.
    """
    try:
        # Arguments given to hydra would be copied into a config.
        built = hydra.utils.instantiate(
            {**node, PARTIAL: True} if arguments else dict(node), _convert_="all"
        )
    except InstantiationException as error:
        raise _translate(error.__cause__ or error, node, where) from error.__cause__
    if not (isinstance(built, partial) and (arguments or node.get(PARTIAL))):
        return built
    factory = Factory(built.func, *built.args, **built.keywords)
    factory.built, factory.node, factory.where = built, node, where
    return factory(**arguments) if arguments and not node.get(PARTIAL) else factory


def instantiate_each(node: Mapping[str, Any] | None, where: str, /) -> Any:
    """Return what `node` names, or by name what each node in it does; None of null."""
    if node is None or TARGET in node:
        return None if node is None else instantiate(node, where)
    return {name: instantiate_each(each, f"{where}.{name}") for name, each in node.items()}


class Factory(partial):  # type: ignore[type-arg]
    """A partial that tells its config path when its arguments are refused."""

    built: partial[Any]  # Hydra's own, which refuses targets that are not allowed
    node: Mapping[str, Any]
    where: str

    def __call__(self, /, *args: Any, **keywords: Any) -> Any:
        try:
            return self.built(*args, **keywords)
        except (RunnerError, *USER_MISTAKES) as error:
            raise _translate(error, self.node, self.where) from error


def _translate(cause: BaseException, node: Mapping[str, Any], where: str) -> BaseException:
    place = where or "config"
    if isinstance(cause, RunnerError):
        return cause
    if isinstance(cause, (*USER_MISTAKES, InstantiationException)):
        return ConfigError(
            f"{place}: {node.get(TARGET)} cannot be built: {cause or type(cause).__name__}"
        )
    cause.add_note(f"while building {place} ({node.get(TARGET)})")
    return cause
