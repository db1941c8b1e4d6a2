"""Run one config as one job, in this process or in several."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from runner.build.from_config import build_parts, build_trackers
from runner.config.duration import parse_optional
from runner.config.run_config import RunConfig
from runner.job.assignment import Assignment
from runner.job.fit import Job, fit
from runner.job.place import take_place, wants_ranks
from runner.job.supervisor import supervise
from runner.run.directory import RunDirectory
from runner.run.session import JobDescription
from runner.sweeps.search.pruning import Pruning


def run_job(
    config: RunConfig,
    path: Path,
    *,
    overrides: Sequence[str] = (),
    command: Sequence[str] = (),
    continue_completed: bool = False,
    pruning: Pruning | None = None,
    delivered_to: Mapping[str, str] | None = None,
) -> float | None:
    """Train `config` in the directory `path`, continuing what is there, and return the best score.

    With hardware.num_processes it starts as many ranks and watches them, unless a launcher has.
    With `pruning` it may end early and well, with the state `pruned`.
    Raises RunnerError with one sentence, or Interrupted when it was asked to stop and has saved.
    """
    assignment = Assignment(
        config=config,
        path=path,
        overrides=list(overrides),
        command=list(command),
        continue_completed=continue_completed,
        pruning=pruning,
        delivered_to=delivered_to or {},
    )
    if wants_ranks(config.options):
        return supervise(assignment)
    return run_here(assignment)


def run_here(assignment: Assignment) -> float | None:
    """Do `assignment` in this process: alone, or as the rank that its launcher made it."""
    config = assignment.config
    place = take_place(config.options)
    job = Job(
        directory=RunDirectory(assignment.path),
        description=JobDescription(
            name=config.name,
            config=config.frozen,
            overrides=assignment.overrides,
            command=assignment.command,
        ),
        build=lambda ranks: build_parts(config, place.device, ranks, pruning=assignment.pruning),
        trackers=build_trackers(config) if place.is_main else {},
        place=place,
        checkpoint_dir=config.checkpoint.dir,
        continue_completed=assignment.continue_completed,
        delivered_to=assignment.delivered_to,
        hang_timeout=parse_optional(config.trainer.hang_timeout),
    )
    return fit(job).score
