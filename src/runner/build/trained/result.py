"""Find what was trained: which checkpoint of a run is its result. Needs no torch."""

import logging
from contextlib import suppress
from pathlib import Path

from runner.build.trained.model_card import model_card
from runner.checkpoint.manifest import committed_steps, step_path, verified_manifest
from runner.errors import CheckpointError
from runner.run.directory import RunDirectory
from runner.run.latest import best_of, latest_status
from runner.run.model_card import is_exported, read_model_card, write_model_card
from runner.run.status import read_raw_status

_log = logging.getLogger(__name__)


def final_model(directory: RunDirectory) -> list[Path]:
    """Return the files of the trained model, which together are an exported one.

    The card model.json (written here where it is missing or old), config, weights, the calibration
    and the folder of the preprocessor, where there are any. Of a run that has not completed, or has
    no checkpoints, none.
    """
    status = read_raw_status(directory.status)
    is_trained = status is not None and status.state == "completed"
    if not is_trained or not committed_steps(directory.checkpoints):
        return []
    step = trained_step(directory)
    card = model_card(directory, step)
    write_model_card(directory.model_card, card)
    weights = [step_path(directory.checkpoints, step) / name for name in card.weights]
    return [directory.model_card, directory.config, *weights, *extras(directory)]


def extras(directory: RunDirectory) -> list[Path]:
    """Return what a model needs beside config and weights, of what there is.

    With the signature of its config an exported model is known as this user's own.
    """
    known = (directory.preprocessor, directory.calibration, directory.signature)
    return [path for path in known if path.exists()]


def trained_step(directory: RunDirectory, step: int | None = None) -> int:
    """Return the best step that was kept, or else the newest that is whole; or `step` itself.

    An exported model has one step. Raises CheckpointError when there is none, naming the steps
    there are.
    """
    if is_exported(directory):
        return _exported_step(directory, step)
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
    status = latest_status(directory)
    best = status.best_step if status else None
    if best not in steps and status is not None and status.state == "lost":
        best = best_of(directory, steps)  # the checkpoint of the best was under way
    for candidate in [*([best] if best in steps else []), *reversed(steps)]:
        with suppress(CheckpointError):  # a damaged one: the next best will do
            verified_manifest(step_path(directory.checkpoints, candidate))
            return candidate
    raise CheckpointError(f"all checkpoints of {directory.path} are damaged (steps {steps})")


def step_to_use(directory: RunDirectory, step: int | None = None) -> int:
    """Return what `trained_step` does; of weights that no training has touched it warns."""
    chosen = trained_step(directory, step)
    if chosen == 0:
        _log.warning("%s: the weights are of step 0, before any training", directory.path)
    return chosen


def _exported_step(directory: RunDirectory, step: int | None) -> int:
    own = read_model_card(directory.model_card).step
    if step not in (None, own):
        raise CheckpointError(
            f"{directory.path} is the model of step {own} alone: for step {step} export its run "
            f"with --step {step}"
        )
    return own
