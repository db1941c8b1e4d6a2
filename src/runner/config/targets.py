"""Check every `_target_` node against what it names, before anything is built."""

import importlib
import inspect
import pkgutil
import typing
from collections.abc import Mapping
from typing import Any

from runner.config.annotations import fits, name_of
from runner.config.interpolations import UNRESOLVED
from runner.errors import did_you_mean

TARGET = "_target_"
PARTIAL = "_partial_"
POSITIONAL = "_args_"
EXTRAS = {"transformers": "huggingface", "datasets": "hub", "accelerate": "accelerate"}
SPECIAL_KEYS = frozenset({TARGET, PARTIAL, POSITIONAL, "_recursive_", "_convert_"})


def check_targets(node: object, path: str) -> list[str]:
    """Return one sentence for each mistake in the `_target_` nodes at and below `node`."""
    if isinstance(node, list):
        return [p for i, item in enumerate(node) for p in check_targets(item, f"{path}[{i}]")]
    if not isinstance(node, Mapping):
        return []
    problems = _check_node(node, path) if TARGET in node else []
    for key, child in node.items():
        problems += check_targets(child, f"{path}.{key}")
    return problems


class TargetError(Exception):
    """What `_target_` names is not there."""


def locate(target: str) -> Any:
    """Return the object with the dotted name `target`; TargetError says what is missing."""
    parts = target.split(".")
    if not all(part.isidentifier() for part in parts):
        raise TargetError(f"'{target}' is no dotted name such as torch.optim.AdamW")
    found, depth = _longest_module(parts)
    for position in range(depth, len(parts)):
        name = parts[position]
        if not hasattr(found, name):
            owner = ".".join(parts[:position])
            hint = did_you_mean(name, [*dir(found), *_submodules(found)])
            raise TargetError(f"{owner} has no '{name}'{hint}")
        found = getattr(found, name)
    return found


def needs_argument(node: Mapping[str, Any], name: str) -> bool:
    """Return whether what `node` names has a parameter `name` that `node` does not give."""
    return name not in node and name in _parameters(locate(node[TARGET]))


def _check_node(node: Mapping[str, Any], path: str) -> list[str]:
    target = node[TARGET]
    if target is UNRESOLVED:
        return []
    if not isinstance(target, str):
        return [f"{path}.{TARGET} must be a dotted name such as torch.optim.AdamW, got {target!r}"]
    try:
        found = locate(target)
    except TargetError as error:
        return [f"{path}.{TARGET}: {error}"]
    if not callable(found):
        return [f"{path}.{TARGET}: {target} cannot be called (it is a {type(found).__name__})"]
    problems = _check_arguments(node, found, path)
    if not node.get(PARTIAL):
        missing = _missing_arguments(node, found)
        problems += [f"{path}.{name} is missing: {target} needs it" for name in missing]
    return problems


def _check_arguments(node: Mapping[str, Any], found: Any, path: str) -> list[str]:
    parameters = _parameters(found)
    if not parameters and not _has_signature(found):
        return []
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    names = [
        name
        for name, p in parameters.items()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ] + _settable(found)
    annotations = _annotations(found)
    problems = []
    for key, value in node.items():
        if key in SPECIAL_KEYS:
            continue
        if key not in names:
            if not open_ended:
                hint = did_you_mean(str(key), names)
                problems.append(f"{path}.{key}: {node[TARGET]} has no parameter '{key}'{hint}")
        elif not _is_plain(value) or key not in annotations or fits(value, annotations[key]):
            continue
        else:
            problems.append(f"{path}.{key} must be {name_of(annotations[key])}, got {value!r}")
    return problems


def _missing_arguments(node: Mapping[str, Any], found: Any) -> list[str]:
    parameters = list(_parameters(found).values())[len(node.get(POSITIONAL) or []) :]
    return [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        and parameter.name not in node
    ]


def _parameters(found: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(found).parameters if _has_signature(found) else {}


def _settable(found: Any) -> list[str]:
    """Return the properties that a class takes as arguments beside those it shows.

    The configs of `transformers` show their fields and are made by a function that takes any
    keyword, such as `num_labels`, which is no field. One that is neither is a typo.
    """
    if not inspect.isclass(found) or not hasattr(found.__init__, "__wrapped__"):
        return []
    shown = inspect.signature(found.__init__, follow_wrapped=False).parameters.values()
    if not any(p.kind is p.VAR_KEYWORD for p in shown):
        return []
    members = inspect.getmembers_static(found, lambda member: isinstance(member, property))
    return [name for name, member in members if member.fset is not None]


def _has_signature(found: Any) -> bool:
    try:
        inspect.signature(found)
    except (ValueError, TypeError):  # some callables written in C have none
        return False
    return True


def _annotations(found: Any) -> dict[str, Any]:
    function = found.__init__ if inspect.isclass(found) else found
    try:
        return typing.get_type_hints(function)
    except Exception:  # annotations may name anything; those that cannot be read are not checked
        return {}


def _is_plain(value: object) -> bool:
    """Return whether `value` reaches the target as it stands: nothing nested is built of it."""
    if isinstance(value, Mapping):
        return TARGET not in value
    return value is None or isinstance(value, str | int | float | bool | list)


def _longest_module(parts: list[str]) -> tuple[Any, int]:
    """Import the longest prefix of `parts` that is a module; return it and its length."""
    found = None
    for length in range(1, len(parts) + 1):
        name = ".".join(parts[:length])
        try:
            found = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise TargetError(f"importing {name} failed: {error}") from error
            break
        except Exception as error:  # a user's module may raise anything
            raise TargetError(
                f"importing {name} failed: {type(error).__name__}: {error}"
            ) from error
    else:
        return found, len(parts)
    if found is None:
        if parts[0] in EXTRAS:
            extra = EXTRAS[parts[0]]
            raise TargetError(f"there is no module '{parts[0]}': pip install 'runner[{extra}]'")
        installed = [module.name for module in pkgutil.iter_modules()]
        raise TargetError(f"there is no module '{parts[0]}'{did_you_mean(parts[0], installed)}")
    return found, length - 1


def _submodules(found: Any) -> list[str]:
    return [module.name for module in pkgutil.iter_modules(getattr(found, "__path__", []))]
