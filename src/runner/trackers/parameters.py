"""A nested config as the flat text parameters that trackers store."""

import json
from collections.abc import Mapping
from typing import Any

from runner.config.layout import leaves
from runner.config.secrets import redacted


def flatten(config: Mapping[str, Any]) -> dict[str, str]:
    """Return `config` as texts by dotted path: mappings are opened, a list stays one value."""
    return {key: _text(value) for key, value in leaves(config).items()}


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return redacted(text)
