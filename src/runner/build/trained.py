"""Find what was trained: which checkpoint of a run is its result."""

from contextlib import suppress

from runner.checkpoint.manifest import committed_steps, step_path, verified_manifest
from runner.errors import CheckpointError
from runner.run.directory import RunDirectory
from runner.run.status import read_status


def trained_step(directory: RunDirectory, step: int | None = None) -> int:
    """Return the best step that was kept, or else the newest that is whole; or `step` itself.

    Raises CheckpointError when there is none, naming the steps there are.
    """
    steps = committed_steps(directory.checkpoints)
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
