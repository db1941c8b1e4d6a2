"""Results of sweeps for the tests of reports."""

from collections.abc import Sequence
from typing import Any

from runner.reports.sweep.table import RunResult, SweepResults


def result(number: int, score: float | None, **overrides: str) -> RunResult:
    """Return a completed run; a key is written with `__` for its dots."""
    return with_state(number, score, "completed", **overrides)


def with_state(number: int, score: float | None, state: str, **overrides: str) -> RunResult:
    keys = {key.replace("__", "."): value for key, value in overrides.items()}
    return RunResult(
        number=number,
        label=" ".join(f"{key}={value}" for key, value in keys.items()),
        overrides=keys,
        state=state,
        step=100,
        score=score,
        best_step=90,
        curve=[] if score is None else [(50, 2 * score), (90, score), (100, 1.1 * score)],
    )


def sweep(runs: Sequence[RunResult], **changes: Any) -> SweepResults:
    defaults = {
        "name": "run/lr",
        "kind": "grid",
        "command": "python -m runner -m optimizer.lr=0.1,0.01",
        "metric": "evaluation.loss",
        "mode": "min",
        "swept": list(dict.fromkeys(key for run in runs for key in run.overrides)),
        "runs": runs,
    }
    return SweepResults(**{**defaults, **changes})
