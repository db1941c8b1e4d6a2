"""Run one config as one job."""

from collections.abc import Sequence
from pathlib import Path

from runner.build.from_config import build_parts, build_trackers
from runner.config.run_config import RunConfig
from runner.job.fit import Job, fit
from runner.run.directory import RunDirectory
from runner.run.session import JobDescription
from runner.runtime.device import prepare_hardware


def run_job(
    config: RunConfig,
    path: Path,
    *,
    overrides: Sequence[str] = (),
    command: Sequence[str] = (),
    continue_completed: bool = False,
) -> float | None:
    """Train `config` in the directory `path`, continuing what is there, and return the best score.

    Raises RunnerError with one sentence, or Interrupted when it was asked to stop and has saved.
    """
    device = prepare_hardware(config.hardware)
    job = Job(
        directory=RunDirectory(path),
        description=JobDescription(
            name=config.name,
            config=config.frozen,
            overrides=list(overrides),
            command=list(command),
        ),
        build=lambda: build_parts(config, device),
        trackers=build_trackers(config),
        checkpoint_dir=config.checkpoint.dir,
        continue_completed=continue_completed,
    )
    return fit(job).score
