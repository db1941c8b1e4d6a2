"""Who a run and a sweep are: hashes of what decides their result.

Two configs that differ in layout keys alone are the same run, unless the sweep itself varies such a
key: then its value belongs to the run. A sweep is its base config without the keys that it varies,
plus their names; so a command that varies more values of the same keys continues the same sweep.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

from runner.config.layout import is_layout, leaves

KEY_LENGTH = 16  # hexadecimal digits: 64 bits


def run_key(
    config: Mapping[str, Any],
    *,
    swept: Collection[str] = (),
    presets: Mapping[str, str] | None = None,
) -> str:
    """Return the identity of a run with this frozen config, in a sweep over the `swept` keys.

    `presets` are swept groups without a node of their own, such as experiment, with the member:
    two of them may differ in layout keys alone, and are two runs nevertheless.
    """
    deciding = {
        key: value
        for key, value in leaves(config).items()
        if not is_layout(key) or _is_below(key, swept)
    }
    return _digest({**deciding, **(presets or {})})


def sweep_key(base: Mapping[str, Any], *, swept: Collection[str]) -> str:
    """Return the identity of a sweep over the `swept` keys of this frozen base config."""
    return _digest({"base": deciding_leaves(base, swept=swept), "swept": sorted(swept)})


def deciding_leaves(base: Mapping[str, Any], *, swept: Collection[str]) -> dict[str, Any]:
    """Return what of a base config decides the results of a sweep over the `swept` keys."""
    return {
        key: value
        for key, value in leaves(base).items()
        if not is_layout(key) and not _is_below(key, swept)
    }


def _is_below(key: str, owners: Collection[str]) -> bool:
    return any(key == owner or key.startswith(f"{owner}.") for owner in owners)


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]
