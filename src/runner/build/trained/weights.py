"""Read the weights that were trained: those of a run, or of a model that was exported from one."""

from pathlib import Path

from torch import Tensor, nn

from runner.build.trained.result import trained_step
from runner.checkpoint.store import CheckpointStore
from runner.checkpoint.weights import fit_weights, read_tensors, weight_files
from runner.errors import CheckpointError
from runner.files import sha256_of
from runner.run.directory import RunDirectory
from runner.run.model_card import is_exported, read_model_card


def load_trained_weights(
    model: nn.Module, directory: RunDirectory, step: int | None = None
) -> nn.Module:
    """Load what was trained in `directory` into `model`, and return it in eval mode on its device.

    A run gives its best weights that were kept, or those of `step`. Raises CheckpointError.
    """
    chosen = trained_step(directory, step)
    if is_exported(directory):
        fit_weights(model, _exported_tensors(directory), directory.path)
    else:
        CheckpointStore(directory.checkpoints).read_weights(chosen, model)
    return model.eval()


def read_trained_weights(directory: RunDirectory, step: int | None = None) -> dict[str, Tensor]:
    """Return what `load_trained_weights` loads by name, whole, on the CPU, tied ones too."""
    chosen = trained_step(directory, step)
    if is_exported(directory):
        return _exported_tensors(directory)
    return CheckpointStore(directory.checkpoints).read_tensors(chosen)


def _exported_tensors(directory: RunDirectory) -> dict[str, Tensor]:
    card, folder = read_model_card(directory.model_card), directory.path
    if not card.weights:
        raise CheckpointError(
            f"{folder} has no weights: those of its run are in parts; export the run itself"
        )
    _check(folder, card.weights)
    stem = "average" if any(name.startswith("average") for name in card.weights) else "model"
    unlisted = {path.name for path in weight_files(folder, stem=stem)} - set(card.weights)
    if unlisted:
        raise CheckpointError(
            f"{folder}: {', '.join(sorted(unlisted))} is not in {directory.model_card.name}"
        )
    return read_tensors(folder, card.tied, stem=stem)


def _check(folder: Path, checksums: dict[str, str]) -> None:
    for name, expected in checksums.items():
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder / name} is missing")
        if sha256_of(folder / name) != expected:
            raise CheckpointError(f"{folder / name} is damaged: its checksum differs")
