"""The folder of an exported model that is written again: what may go there, and what stays."""

import os
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from runner.build.trained.export_readme import README
from runner.checkpoint.weights import weight_files
from runner.errors import RunError, RunnerError
from runner.inference import onnx_model, traced
from runner.run.directory import RunDirectory
from runner.run.model_card import ModelCard, is_exported, read_model_card

PROGRAMS = (traced.FILE, onnx_model.FILE)
_LARGE = ".data"  # beside a program, with the tensors that do not fit into one file


def check_target(target: Path, source: RunDirectory, card: ModelCard, *, force: bool) -> None:
    """Raise RunError naming what is in the way of a model with this `card` in `target`."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    there = RunDirectory(target)
    if not is_exported(there) or target == source.path.resolve():
        raise RunError(f"{target} is there and no exported model: give another folder with --to")
    if force:
        return
    if not _is_same(_card_of(there), card):
        raise RunError(
            f"{target} holds another model: --force replaces it, --to names another folder"
        )
    if others := sorted({path.name for path in target.iterdir()} - _own_names(there)):
        raise RunError(
            f"{target} holds more than the model: {', '.join(others)}; --force replaces all but "
            "its evaluations, --to names another folder"
        )


def carry_over(old: RunDirectory, new: RunDirectory, card: ModelCard) -> ModelCard:
    """Let `new`, which takes the place of `old`, have its evaluations, and of the same weights its
    programs too; return the card that names these.
    """
    carry_evaluations(old, new)
    there = _card_of(old)
    if there is None or there.weights != card.weights:
        return card
    programs, checks = dict(card.programs), dict(card.checks)
    for name in PROGRAMS:
        if (old.path / name).is_file() and not (new.path / name).exists():
            programs[name] = there.programs.get(name, "")
            if name in there.checks:
                checks[name] = there.checks[name]
            for file in (name, name + _LARGE):
                if (old.path / file).is_file():
                    _link(old.path / file, new.path / file)
    network = card.network or there.network
    return replace(card, programs=programs, checks=checks, network=network)


def carry_evaluations(old: RunDirectory, new: RunDirectory) -> None:
    """Let `new` have the evaluations of `old` that it has not; none is ever changed."""
    for folder in old.evaluations.glob("[!.]*"):
        if folder.is_dir() and not (new.evaluations / folder.name).exists():
            shutil.copytree(folder, new.evaluations / folder.name, copy_function=_link)


def _card_of(directory: RunDirectory) -> ModelCard | None:
    with suppress(RunnerError):  # one that cannot be read is another one
        return read_model_card(directory.model_card) if is_exported(directory) else None
    return None


def _is_same(old: ModelCard | None, new: ModelCard) -> bool:
    return old is not None and (old.run, old.step) == (new.run, new.step)


def _own_names(there: RunDirectory) -> set[str]:
    """Return the names of what an export has written, and of evaluations made since."""
    own = (
        *(there.config, there.signature, there.model_card, there.preprocessor),
        *(there.calibration, there.evaluations),
        *weight_files(there.path),
        *there.path.glob("*.safetensors.index.json"),
    )
    programs = {name + more for name in PROGRAMS for more in ("", _LARGE)}
    return {path.name for path in own} | programs | {README}


def _link(source: str | Path, target: str | Path) -> None:
    """Let `target` be the file `source`, which nobody writes into."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
