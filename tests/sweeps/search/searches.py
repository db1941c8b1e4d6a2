"""A search over a toy: runs that are a status file, and a sweep that does them one by one."""

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from runner.config.spaces import read_search
from runner.run.directory import RunDirectory
from runner.run.status import Status, write_status
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.identity import run_key
from runner.sweeps.ledger import Combination, Ledger, PlannedRun
from runner.sweeps.search.options import SearchOptions
from runner.sweeps.search.source import SearchSource, open_search

LEARNING_RATE = "optimizer.lr=tag(log, interval(1e-4,1e-1))"
WIDTH = "width=range(8,65,step=8)"
MODEL = "model=mlp,convnet"
ALL = (LEARNING_RATE, WIDTH, MODEL)
SMALL = ("a=1,2", "b=1,2,3")

Score = Callable[[Mapping[str, str]], float]


def combine(values: Mapping[str, str]) -> Combination:
    return Combination(
        key=run_key(values),
        overrides=tuple(f"{key}={value}" for key, value in values.items()),
        config=dict(values),
    )


def wants(run: PlannedRun, status: Status | None) -> bool:
    """As sweep.retry=failed decides."""
    return status is None or status.state not in ("completed", "pruned", "cancelled")


def open_toy(path: Path, overrides: tuple[str, ...] = ALL, **changes: Any) -> SearchSource:
    directory = SweepDirectory(path)
    names = {field.name for field in fields(SearchOptions)}
    options = {name: changes.pop(name) for name in names & changes.keys()}
    return open_search(
        directory,
        options=SearchOptions(**options),
        spaces=read_search(overrides).spaces,
        ledger=Ledger(directory.ledger),
        **{
            "combine": combine,
            "wants": wants,
            "best_metric": "evaluation.loss",
            "best_mode": "min",
            **changes,
        },
    )


def end(
    path: Path, run: PlannedRun, state: str = "completed", score: float | None = None
) -> Status:
    """Let the run have ended like this."""
    status = Status(state=state, score=score, best_step=None if score is None else 10)
    directory: RunDirectory = SweepDirectory(path).job(run.number)
    write_status(directory.status, status)
    return status


def toy_score(values: Mapping[str, str]) -> float:
    """Return a loss."""
    rate = math.log10(float(values["optimizer.lr"]))
    is_slow = values["model"] == "mlp"
    return (rate + 2.0) ** 2 + (int(values["width"]) / 64 - 0.5) ** 2 + is_slow


def do_all(
    path: Path, source: SearchSource, score: Score = toy_score, *, at_most: int = 10**6
) -> list[PlannedRun]:
    """Do the runs of `source` one after the other; return them."""
    done: list[PlannedRun] = []
    while len(done) < at_most and (run := source.take()) is not None:
        source.ended(run, end(path, run, score=score(run.config)))
        done.append(run)
    return done
