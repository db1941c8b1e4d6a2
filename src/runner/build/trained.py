"""Find what was trained: which checkpoint of a run is its result."""

from runner.checkpoint.manifest import committed_steps
from runner.errors import CheckpointError
from runner.run.directory import RunDirectory
from runner.run.status import read_status


def trained_step(directory: RunDirectory, step: int | None = None) -> int:
    """Return the best step that was kept, or else the newest; or `step`, if it has a checkpoint.

    Raises CheckpointError naming the steps there are.
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
    status = read_status(directory)
    best = status.best_step if status else None
    return step or (best if best in steps else None) or steps[-1]
