"""Directories of single runs, made with the real writers but without training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.config.written import to_yaml
from runner.files import write_text_atomically
from runner.run.directory import RunDirectory
from runner.run.journal import Journal, Row
from runner.run.provenance import first_provenance, job_entry, write_provenance
from runner.run.status import Status, write_status

CODE = {"commit": "abc1234abc1234abc1234abc1234abc1234abc12", "diff": ""}
START = 1_790_000_000.0


def config_of(**changes: Any) -> dict[str, Any]:
    """Return a small config; `lr`, `seed`, `max_steps`, ... change it."""
    trainer = {"max_steps": changes.pop("max_steps", 100), "best_metric": "evaluation.loss"}
    trainer |= {"best_mode": "min"} | changes.pop("trainer", {})
    optimizer = {"_target_": "torch.optim.AdamW", "lr": changes.pop("lr", 0.001)}
    return {"optimizer": optimizer, "trainer": trainer, "name": "run", "seed": 0, **changes}


def make_run(
    path: Path,
    *,
    status: Status | None = None,
    config: Mapping[str, Any] | None = None,
    evaluations: Mapping[int, Mapping[str, float]] | None = None,
    code: dict[str, str | None] | None = None,
    began: float = START,
    overrides: Sequence[str] = (),
) -> RunDirectory:
    """Make the directory of a run that stands as `status` says, with these evaluations."""
    run, config = RunDirectory(path), dict(config or config_of())
    write_text_atomically(run.config, to_yaml(config))
    facts = {"code": code or CODE, "versions": {"torch": "2.0"}}
    provenance = first_provenance(name=config["name"], id=path.name, facts=facts)
    job = {**job_entry(command=[], overrides=list(overrides)), "time": began}
    write_provenance(run.provenance, {**provenance, "jobs": [job]})
    write_status(run.status, status or done(0.5))
    journal = Journal(run.journal)
    for step, values in (evaluations or {}).items():
        row = Row(
            step=step, epoch=step / 10, time=began + step, split="evaluation", values=dict(values)
        )
        journal.append(row)
    journal.close()
    return run


def done(score: float | None, **changes: Any) -> Status:
    figures = {"step": 100, "jobs": 1, "score": score, "best_step": 100, **changes}
    return Status(**{"state": "completed", **figures})
