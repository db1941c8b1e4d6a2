"""The config of a run, of which no more is read than is asked for.

A list of thousands of runs asks each for a key or two; to parse a whole config takes ten
milliseconds, the one section that is asked for a few hundredths of one.
"""

import re
from collections.abc import Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import yaml

from runner.config.layout import leaves
from runner.errors import RunError

ABSENT = object()

# Lists may begin in the column of their key, so a dash opens no section.
_SECTION = re.compile(r"^(?![ \-#\n])([^\n]*)\n((?:[ \-#][^\n]*\n|\n)*)", re.MULTILINE)
_INTERPOLATION = re.compile(r"\$\{([\w.]+)\}")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # without libyaml a slower one


class ConfigValues:
    """The frozen config at `path`, or `known` where another file has told it already."""

    def __init__(self, path: Path, known: Mapping[str, Any] | None = None) -> None:
        self._path = path
        self._known = known

    def get(self, key: str) -> Any:
        """Return the value at a dotted key, ABSENT without one.

        What stands for another key of the config is followed. RunError for a damaged file.
        """
        return self._get(key, depth=4)

    def section(self, name: str) -> Mapping[str, Any]:
        """Return the node under a key of the top level; empty if there is none."""
        node = self._top(name)
        return node if isinstance(node, Mapping) else {}

    @property
    def keys(self) -> list[str]:
        """All dotted keys of the config, parsed whole."""
        config = self._known if self._known is not None else _parsed(self._text, self._path)
        return list(leaves(config or {}))

    def _get(self, key: str, depth: int) -> Any:
        top, *rest = key.split(".")
        node = self._top(top)
        for name in rest:
            node = node.get(name, ABSENT) if isinstance(node, Mapping) else ABSENT
        match = _INTERPOLATION.fullmatch(node) if isinstance(node, str) else None
        return self._get(match[1], depth - 1) if match and depth else node

    def _top(self, name: str) -> Any:
        if self._known is not None:
            return self._known.get(name, ABSENT)
        section = self._sections.get(name)
        return ABSENT if section is None else _parsed(section, self._path).get(name, ABSENT)

    @cached_property
    def _text(self) -> str:
        try:
            return self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    @cached_property
    def _sections(self) -> dict[str, str]:
        found = _SECTION.finditer(self._text if self._text.endswith("\n") else f"{self._text}\n")
        return {match[1].partition(":")[0].strip("'\""): match[0] for match in found}


def _parsed(text: str, path: Path) -> dict[str, Any]:
    try:
        node = _load(text)
    except yaml.YAMLError as error:
        raise RunError(f"{path} is damaged: {' '.join(str(error).split())}") from error
    return node if isinstance(node, dict) else {}


@lru_cache(maxsize=4096)  # runs of one kind share most of their sections
def _load(text: str) -> Any:
    return yaml.load(text, Loader=_LOADER)
