"""Layout keys: which keys of a config do not change the result, and what follows from that."""

from collections.abc import Mapping
from typing import Any

from runner.config.options import LAYOUT_KEYS

_ABSENT = object()


def is_layout(key: str) -> bool:
    """Return whether the dotted `key` is a layout key or lies below one."""
    return any(key == layout or key.startswith(f"{layout}.") for layout in LAYOUT_KEYS)


def differing_keys(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Return the dotted keys, sorted, without layout keys, at which two frozen configs differ."""
    a, b = leaves(first), leaves(second)
    differing = (key for key in a.keys() | b.keys() if a.get(key, _ABSENT) != b.get(key, _ABSENT))
    return sorted(key for key in differing if not is_layout(key))


def leaves(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return what nested mappings hold under dotted keys; lists and empty mappings are values."""
    flat: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            flat.update(leaves(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
