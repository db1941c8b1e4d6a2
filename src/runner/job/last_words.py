"""The last line of a run: how good it got, where it is, and what shows more of it."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.run.directory import RunDirectory
from runner.sweeps.directory import sweep_around
from runner.training.callbacks.console_view import short
from runner.training.result import Result


def last_words(result: Result, directory: RunDirectory, config: Mapping[str, Any]) -> str:
    """Return the line for a run that is done, or was pruned; one of a sweep names no command."""
    place = shlex.quote(_place(directory.path))
    words = [f"pruned{_score(result, config)}  {place}"]
    if not result.is_pruned:
        words = [f"done{_score(result, config)}  {place}"]
        if sweep_around(directory) is None:
            words.append(f"more of it: python -m runner report {place}")
    return "  ".join(words)


def _place(path: Path) -> str:
    """Return `path` as seen from here; whole where that leads up.

    It does in a process that `reproduce` has started in another folder than that of its user.
    """
    near = os.path.relpath(path)
    return str(path.absolute()) if near.startswith(os.pardir) else near


def _score(result: Result, config: Mapping[str, Any]) -> str:
    if result.score is None:
        return ""
    metric = (config.get("trainer") or {}).get("best_metric") or "score"
    return f" {metric}={short(result.score)} (best, step {result.best_step})"
