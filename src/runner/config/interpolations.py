"""Resolve a config, telling every value that is missing or refers to nothing in plain words."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.errors import did_you_mean


class Unresolved:
    """Stands for a value whose problem is already told."""

    def __repr__(self) -> str:
        return "<unresolved>"


UNRESOLVED = Unresolved()


def resolve(
    cfg: DictConfig, *, choices: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], list[str]]:
    """Return `cfg` as plain resolved containers, and one sentence for each value that has none.

    `choices` maps config groups to their chosen members, for the sentences.
    """
    problems: list[str] = []
    plain = _plain(cfg, "", cfg, choices or {}, problems)
    return plain, problems


def _plain(
    node: Any, path: str, root: DictConfig, choices: Mapping[str, str], problems: list[str]
) -> Any:
    if isinstance(node, DictConfig):
        items = [(str(key), key) for key in node]
        return {
            name: _child(node, key, f"{path}.{name}".lstrip("."), root, choices, problems)
            for name, key in items
        }
    if isinstance(node, ListConfig):
        return [_child(node, i, f"{path}[{i}]", root, choices, problems) for i in range(len(node))]
    return node


def _child(
    node: DictConfig | ListConfig,
    key: Any,
    path: str,
    root: DictConfig,
    choices: Mapping[str, str],
    problems: list[str],
) -> Any:
    if OmegaConf.is_missing(node, key):
        problems.append(f"{path} has no value: give {path}=...")
        return UNRESOLVED
    try:
        value = node[key]
    except OmegaConfBaseException as error:
        problems.append(_explain(path, error, root, choices))
        return UNRESOLVED
    return _plain(value, path, root, choices, problems)


def _explain(
    path: str, error: OmegaConfBaseException, root: DictConfig, choices: Mapping[str, str]
) -> str:
    message = str(error).splitlines()[0]
    absent = re.search(r"Interpolation key '([^']+)' not found", message)
    if absent:
        return f"{path} needs {_absent(absent.group(1), root, choices)}"
    missing = re.search(r"MissingMandatoryValue.*: *(?:Missing mandatory value: )?(\S+)", message)
    if missing:
        return f"{path} needs {missing.group(1)}, which has no value: give {missing.group(1)}=..."
    variable = re.search(r"Environment variable '([^']+)' not found", message)
    if variable:
        return f"{path} needs the environment variable {variable.group(1)}, which is not set"
    return f"{path} cannot be resolved: {message}"


def _absent(key: str, root: DictConfig, choices: Mapping[str, str]) -> str:
    """Return "data.alphabet, which data=digits does not have", with a suggestion."""
    *owners, name = key.split(".")
    owner = ".".join(owners)
    group = owners[0] if owners else ""
    label = f"{group}={choices[group]}" if group in choices else owner or "the config"
    return f"{key}, which {label} does not have{did_you_mean(name, _keys(root, owner))}"


def _keys(root: DictConfig, owner: str) -> Iterator[str]:
    try:
        node = OmegaConf.select(root, owner) if owner else root
    except OmegaConfBaseException:
        return iter(())
    return (str(key) for key in node) if isinstance(node, DictConfig) else iter(())
