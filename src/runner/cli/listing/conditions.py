"""`--where`: a condition on a value of a run's config, or on its score or step."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from runner.errors import ConfigError
from runner.run.config_values import ABSENT
from runner.sweeps.listing import ListedRun

FIGURES = ("score", "step", "best_step")  # of a run; every other key is one of its config
_CONDITION = re.compile(r"\s*([\w./@-]+?)\s*(<=|>=|!=|==|=|<|>)\s*(.*?)\s*", re.DOTALL)


@dataclass(kw_only=True)
class Condition:
    """`key` compared with `wanted`; it remembers whether any run had the key at all."""

    key: str
    operator: str  # = != < <= > >=
    wanted: str
    was_found: bool = field(default=False, init=False)

    def holds(self, run: ListedRun) -> bool:
        """Return whether the run has the key, with a value as wanted."""
        if self.key in FIGURES:
            value = getattr(run.row, self.key)
            value = ABSENT if value is None else value
            self.was_found = True
        else:
            value = run.config.get(self.key)
            self.was_found = self.was_found or value is not ABSENT
        return value is not ABSENT and self._compares(value)

    def _compares(self, value: Any) -> bool:
        number, wanted = _number_of(value), _number_in(self.wanted)
        if self.operator in ("=", "!="):
            are_numbers = number is not None and wanted is not None
            is_equal = number == wanted if are_numbers else self._resembles(value)
            return is_equal is (self.operator == "=")
        if number is None or wanted is None:
            return False
        return {
            "<": number < wanted,
            "<=": number <= wanted,
            ">": number > wanted,
            ">=": number >= wanted,
        }[self.operator]

    def _resembles(self, value: Any) -> bool:
        if isinstance(value, Mapping):  # optimizer=AdamW: what the node makes
            made = str(value.get("_target_", "")).rpartition(".")[2]
            return fnmatchcase(made.casefold(), self.wanted.casefold())
        text = value if isinstance(value, str) else json.dumps(value)  # null, true, [1, 2]
        return text == self.wanted or fnmatchcase(text, self.wanted)


def condition_from(text: str) -> Condition:
    """Return what a user means by "optimizer.lr=0.001" or "score<0.05"; ConfigError otherwise."""
    match = _CONDITION.fullmatch(text)
    if match is None or not match[3]:
        raise ConfigError(
            f"--where '{text}' is no condition: write a key, one of = != < <= > >=, and a value, "
            "such as 'optimizer.lr=0.001' or 'score<0.05'"
        )
    key, operator, wanted = match.groups()
    operator = "=" if operator == "==" else operator
    if operator not in ("=", "!=") and _number_in(wanted) is None:
        raise ConfigError(f"--where '{text}' compares with a number, and '{wanted}' is none")
    return Condition(key=key, operator=operator, wanted=wanted)


def _number_of(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None


def _number_in(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
