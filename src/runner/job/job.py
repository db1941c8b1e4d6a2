"""Run one config as one job."""

from collections.abc import Sequence
from pathlib import Path

from runner.build.from_config import build_parts, build_trackers
from runner.config.layout import differing_keys
from runner.config.run_config import RunConfig
from runner.errors import RunError
from runner.job.fit import Job, fit
from runner.run.directory import RunDirectory
from runner.run.session import JobDescription, read_config
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
    directory = RunDirectory(path)
    _check_same_config(directory, config)
    device = prepare_hardware(config.hardware)
    job = Job(
        directory=directory,
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


def _check_same_config(directory: RunDirectory, config: RunConfig) -> None:
    if not directory.config.exists():
        return
    if keys := differing_keys(read_config(directory.config), config.frozen):
        raise RunError(
            f"{directory.path} holds a run with another config, which differs in "
            f"{', '.join(keys)}: use another directory, or python -m runner resume {directory.path}"
        )
