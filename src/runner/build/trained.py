"""Find what was trained: which checkpoint of a run is its result."""

from contextlib import suppress
from pathlib import Path

from runner.checkpoint.manifest import (
    committed_steps,
    read_manifest,
    step_path,
    verified_manifest,
    weight_names,
)
from runner.errors import CheckpointError
from runner.run.directory import RunDirectory
from runner.run.status import read_raw_status, read_status


def final_model(directory: RunDirectory) -> list[Path]:
    """Return the files of the trained model: config and weights, the folder of a preprocessor.

    Of a run that has not completed, or has no checkpoints, none.
    """
    status = read_raw_status(directory.status)
    is_trained = status is not None and status.state == "completed"
    if not is_trained or not committed_steps(directory.checkpoints):
        return []
    checkpoint = step_path(directory.checkpoints, trained_step(directory))
    weights = [checkpoint / name for name in weight_names(read_manifest(checkpoint))]
    preprocessor = [directory.preprocessor] if directory.preprocessor.exists() else []
    return [directory.config, *weights, *preprocessor]


def trained_step(directory: RunDirectory, step: int | None = None) -> int:
    """Return the best step that was kept, or else the newest that is whole; or `step` itself.

    Raises CheckpointError when there is none, naming the steps there are.
    """
    steps = committed_steps(directory.checkpoints)
    link = directory.checkpoints
    if link.is_symlink() and not link.exists():
        raise CheckpointError(
            f"{link} is a link to {link.readlink()}, which is not there: bring that folder back, "
            "or let the link lead to where it lies now"
        )
    if not steps:
        raise CheckpointError(
            f"{directory.path} has no checkpoint: it was stopped too early, or had checkpoint=off"
        )
    if step is not None and step not in steps:
        raise CheckpointError(
            f"{directory.path} has no checkpoint of step {step}; "
            f"there are {', '.join(map(str, steps))}"
        )
    if step is not None:
        verified_manifest(step_path(directory.checkpoints, step))
        return step
    status = read_status(directory)
    best = [status.best_step] if status and status.best_step in steps else []
    for candidate in [*best, *reversed(steps)]:
        with suppress(CheckpointError):  # a damaged one: the next best will do
            verified_manifest(step_path(directory.checkpoints, candidate))
            return candidate
    raise CheckpointError(f"all checkpoints of {directory.path} are damaged (steps {steps})")
