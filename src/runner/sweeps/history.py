"""How the runs of a sweep came to their scores, from their own files: curves, code, limits."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from runner.errors import RunError
from runner.run.directory import RunDirectory
from runner.run.journal import Row, readable_rows
from runner.run.provenance import read_provenance
from runner.run.source.difference import describe_code
from runner.sweeps.summary import RunRow

LIMITS = ("max_epochs", "max_steps", "max_duration")  # how long to train, below trainer


@dataclass(frozen=True, kw_only=True)
class RunHistory:
    """What a run's own files tell beside its status."""

    curve: list[tuple[int, float]] = field(default_factory=list)  # (step, value) of one metric
    values: dict[str, float] = field(default_factory=dict)  # of several metrics, at the best step
    seconds: float | None = None  # from its first start to its last row
    code: list[str] = field(default_factory=list)  # states of the code its jobs were started with
    limits: dict[str, Any] = field(default_factory=dict)
    problem: str | None = None  # a file that cannot be read


def history_of(row: RunRow, *, metric: str, others: Iterable[str] = ()) -> RunHistory:
    """Return the history of a run: the curve of `metric`, the values of `others` at its best."""
    directory = RunDirectory(row.path)
    if not directory.provenance.is_file():
        return RunHistory()
    try:
        provenance = read_provenance(directory.provenance)
        rows, damaged = readable_rows(directory.journal)
        limits = _limits(directory.config)
    except (RunError, OSError, ValueError, TypeError, yaml.YAMLError) as error:
        return RunHistory(problem=f"run {row.number} cannot be read whole: {error}")
    jobs = provenance["jobs"]
    return RunHistory(
        curve=_series(rows, metric),
        values={
            name: value
            for name in others
            if (value := _value_at(_series(rows, name), row.best_step)) is not None
        },
        seconds=max(0.0, rows[-1].time - jobs[0]["time"]) if rows and jobs else None,
        code=_states(provenance),
        limits=limits,
        problem=_problem(row, damaged),
    )


def _problem(row: RunRow, damaged: list[int]) -> str | None:
    if not damaged:
        return None
    return (
        f"run {row.number} cannot be read whole: line {damaged[0]} of its metrics.jsonl is no row"
    )


def _states(provenance: Mapping[str, Any]) -> list[str]:
    codes = [provenance["code"], *(job["code"] for job in provenance["jobs"] if "code" in job)]
    return list(dict.fromkeys(describe_code(code) for code in codes))


def _series(rows: Iterable[Row], name: str) -> list[tuple[int, float]]:
    split, _, metric = name.partition(".")
    found = {
        row.step: row.values[metric] for row in rows if row.split == split and metric in row.values
    }
    return sorted(found.items())


def _value_at(series: list[tuple[int, float]], step: int | None) -> float | None:
    """Return the last value up to `step`, as a search counts it; else the last, as of a test."""
    early = [value for at, value in series if step is None or at <= step]
    return (early or [value for _, value in series] or [None])[-1]


def _limits(config: Path) -> dict[str, Any]:
    """Return how long a run was to train, of its config as it was last used.

    Only that node is parsed: a whole config takes a hundredth of a second, a sweep has a thousand.
    """
    lines = config.read_text(encoding="utf-8").splitlines()
    node: list[str] = []
    for line in lines[lines.index("trainer:") + 1 :] if "trainer:" in lines else []:
        if line[:1] not in ("", " "):
            break
        node.append(line)
    trainer = yaml.safe_load("\n".join(node)) or {}
    return {name: trainer[name] for name in LIMITS if trainer.get(name) is not None}


def limits_text(limits: Mapping[str, Any]) -> str:
    """Return limits as a user types them."""
    return " ".join(f"trainer.{name}={json.dumps(value)}" for name, value in limits.items())
