"""Sweep directories as a sweep leaves them, made with the real writers but without training."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runner.config.written import to_yaml
from runner.files import write_text_atomically
from runner.run.directory import RunDirectory
from runner.run.journal import Journal, Row
from runner.run.provenance import first_provenance, job_entry, write_provenance
from runner.run.status import Status, write_status
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.identity import run_key
from runner.sweeps.ledger import Combination, Ledger, PlannedRun
from runner.sweeps.record import SweepRecord, start_entry, write_record

CODE = {"commit": "abc1234abc1234abc1234abc1234abc1234abc12", "diff": ""}
COMMAND = ["python", "-m", "runner", "-m", "optimizer.lr=0.1,0.01", "seed=1,2"]


def config_of(overrides: Sequence[str], **trainer: Any) -> dict[str, Any]:
    return {
        "name": "run",
        "overrides": {key: value for key, _, value in (o.partition("=") for o in overrides)},
        "trainer": {"max_steps": 100, "max_epochs": None, **trainer},
    }


def plan(path: Path, runs: Sequence[Sequence[str]], **changes: Any) -> SweepDirectory:
    """Make the directory of a sweep with these runs, given as their overrides."""
    directory = SweepDirectory(path)
    swept = list(dict.fromkeys(o.partition("=")[0] for overrides in runs for o in overrides))
    record = {
        "key": "k",
        "name": "run",
        "swept": swept,
        "base": config_of([]),
        "total": len(runs),
        "starts": [start_entry(command=COMMAND, code=CODE)],
    }
    write_record(directory, SweepRecord(**{**record, **changes}))
    Ledger(directory.ledger).add(
        Combination(
            key=run_key(config_of(overrides), swept=swept),
            overrides=tuple(overrides),
            config=config_of(overrides),
        )
        for overrides in runs
    )
    return directory


def begin(directory: SweepDirectory, number: int, status: Status, **details: Any) -> RunDirectory:
    """Make the directory of a run that stands as `status` says."""
    (planned,) = (run for run in _ledger(directory) if run.number == number)
    run = directory.job(number)
    config = details.get("config") or dict(planned.config)
    write_text_atomically(run.config, to_yaml(config))
    code = details.get("code") or CODE
    provenance = first_provenance(
        name="run", id=f"id{number}", facts={"code": code, "versions": {}}
    )
    job = job_entry(command=[], overrides=list(planned.overrides))
    write_provenance(run.provenance, {**provenance, "jobs": [job] * status.jobs})
    write_status(run.status, status)
    write_journal(run, details.get("curve", ()), details.get("values", {}))
    return run


def write_journal(
    run: RunDirectory,
    curve: Sequence[tuple[int, float]],
    values: dict[str, float] | None = None,
    *,
    seconds_per_step: float = 0.5,
    steps_per_epoch: float = 10.0,
) -> None:
    """Append rows of `evaluation.loss` to the journal of a run."""
    journal = Journal(run.journal)
    start = time.time()
    for step, loss in curve:
        journal.append(
            Row(
                step=step,
                epoch=step / steps_per_epoch,
                time=start + step * seconds_per_step,
                split="evaluation",
                values={"loss": loss, **(values or {})},
            )
        )
    journal.close()


def done(score: float | None, **changes: Any) -> Status:
    """Return the status of a completed run."""
    figures = {"step": 100, "jobs": 1, "score": score, "best_step": 90, **changes}
    return Status(**{"state": "completed", **figures})


def failed(error: str, **changes: Any) -> Status:
    return Status(**{"state": "failed", "jobs": 1, "error": error, **changes})


def _ledger(directory: SweepDirectory) -> list[PlannedRun]:
    return list(Ledger(directory.ledger).runs.values())
