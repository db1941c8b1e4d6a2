"""The evaluations of a run after its training, for its page: evaluations/NAME/evaluation.json."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from runner.reports.run.facts import EvaluationFacts
from runner.reports.times import moment
from runner.run.directory import RunDirectory

FILE_NAME = "evaluation.json"


def evaluations_of(directory: RunDirectory) -> tuple[list[EvaluationFacts], list[str]]:
    """Return the evaluations, by name, and what cannot be read."""
    found: list[EvaluationFacts] = []
    problems: list[str] = []
    for file in sorted(directory.evaluations.glob(f"[!.]*/{FILE_NAME}")):
        try:
            found.append(_evaluation(file))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            problems.append(f"{file.parent.name}/{FILE_NAME} cannot be read: {error}")
    return found, problems


def _evaluation(file: Path) -> EvaluationFacts:
    plain: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    values = {name: float(value) for name, value in plain["values"].items()}
    return EvaluationFacts(
        name=str(plain["name"]),
        split=str(plain["split"]),
        step=plain.get("step"),
        time=_time(plain.get("time")),
        values=values,
        num_samples=plain.get("num_samples"),
        overrides=[str(override) for override in plain.get("overrides", ())],
    )


def _time(told: float | str | None) -> str:
    """Return a time, which may be seconds since 1970 or a text."""
    if told is None:
        return ""
    if isinstance(told, str):
        try:
            return moment(datetime.fromisoformat(told).timestamp())
        except ValueError:
            return told
    return moment(told)
