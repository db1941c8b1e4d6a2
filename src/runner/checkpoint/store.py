"""Checkpoints on disk: committed whole or not at all.

    step_00000500/
        model.safetensors     weights under the names of the plain module
        training.pt           everything else that is the same on all ranks
        rank_0.pt             random generators of one rank
        manifest.json         written last

A checkpoint is written to a hidden directory beside its place, synced, and renamed.
"""

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from runner.checkpoint.manifest import (
    NAME,
    Manifest,
    committed_steps,
    read_manifest,
    step_path,
    verified_manifest,
    write_manifest,
)
from runner.checkpoint.weights import load_weights, save_weights
from runner.errors import CheckpointError
from runner.files import sync_directory

WEIGHTS = "model.safetensors"
_TRAINING = "training.pt"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """All that a checkpoint holds: weights, the training state, and the state of this rank."""

    weights: dict[str, Tensor]
    training: dict[str, Any]
    rank: dict[str, Any]


class CheckpointStore:
    """The checkpoints of one run."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path_of(self, step: int) -> Path:
        """Return where the checkpoint of `step` lies, whether or not there is one."""
        return step_path(self.root, step)

    def steps(self) -> list[int]:
        """Return the steps that have a manifest, oldest first."""
        return committed_steps(self.root)

    def write(self, step: int, snapshot: Snapshot) -> Path:
        """Commit `snapshot` as the checkpoint of `step` and return its directory.

        Raises OSError when the disk does not take it; what was there before is untouched.
        """
        final = self.path_of(step)
        self.root.mkdir(parents=True, exist_ok=True)
        self._clear_leftovers()
        partial = self.root / f".{final.name}.{os.getpid()}.partial"
        partial.mkdir()
        try:
            with _write_errors_as_os_errors():
                tied = save_weights(snapshot.weights, partial / WEIGHTS)
                torch.save(snapshot.training, partial / _TRAINING)
                torch.save(snapshot.rank, partial / _rank_file(0))
            for path in partial.iterdir():
                _sync(path)
            write_manifest(partial, step=step, tied=tied)
            sync_directory(partial)
            self._replace(final, partial)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        return final

    def newest_valid(self) -> int | None:
        """Return the newest step whose files match its manifest, or None.

        Only the one who holds the run directory asks: what a kill left half done is put back, and
        damaged checkpoints that are newer are renamed, so that they never count as the newest.
        """
        self._recover()
        damaged: list[int] = []
        for step in reversed(self.steps()):
            try:
                verified_manifest(self.path_of(step))
            except CheckpointError as error:
                _log.warning("checkpoint skipped step=%d: %s", step, error)
                damaged.append(step)
            else:
                self._set_aside(damaged)
                return step
        return None

    def read(self, step: int, model: nn.Module) -> Snapshot:
        """Load the weights of `step` into `model` and return the rest of the snapshot.

        Loading runs no code from the file. The weights of the result are those of `model`.
        """
        directory = self.path_of(step)
        self.read_weights(step, model)
        training = torch.load(directory / _TRAINING, map_location="cpu", weights_only=True)
        rank = torch.load(directory / _rank_file(0), map_location="cpu", weights_only=True)
        return Snapshot(weights=model.state_dict(), training=training, rank=rank)

    def read_weights(self, step: int, model: nn.Module) -> None:
        """Load the weights of `step` into `model`."""
        directory = self.path_of(step)
        load_weights(model, directory / WEIGHTS, self.manifest(step).tied)

    def manifest(self, step: int) -> Manifest:
        """Return the manifest of `step`, or raise CheckpointError."""
        return read_manifest(self.path_of(step))

    def delete(self, step: int) -> None:
        """Remove the checkpoint of `step`, the manifest first: no half of it looks valid."""
        directory = self.path_of(step)
        (directory / NAME).unlink(missing_ok=True)
        shutil.rmtree(directory, ignore_errors=True)

    def _replace(self, final: Path, partial: Path) -> None:
        """Move `partial` to `final`; one of the same step that is there is set aside until then."""
        aside = self.root / f".{final.name}.replaced"
        if final.exists():
            final.rename(aside)
        partial.rename(final)
        sync_directory(self.root)
        shutil.rmtree(aside, ignore_errors=True)

    def _set_aside(self, damaged: list[int]) -> None:
        for step in damaged:
            path = self.path_of(step)
            aside = self.root / f"damaged_{path.name}"
            shutil.rmtree(aside, ignore_errors=True)
            path.rename(aside)

    def _recover(self) -> None:
        """Put back what a kill caught while it was set aside."""
        for aside in self.root.glob(".step_*.replaced"):
            final = self.root / aside.name.removeprefix(".").removesuffix(".replaced")
            if final.exists():
                shutil.rmtree(aside, ignore_errors=True)
            else:
                aside.rename(final)

    def _clear_leftovers(self) -> None:
        """Remove what a kill inside an earlier write left behind."""
        for path in self.root.glob(".step_*.partial"):
            shutil.rmtree(path, ignore_errors=True)


def _rank_file(rank: int) -> str:
    return f"rank_{rank}.pt"


@contextmanager
def _write_errors_as_os_errors() -> Iterator[None]:
    """Safetensors and torch tell a full disk by exceptions of their own."""
    try:
        yield
    except SafetensorError as error:
        raise OSError(str(error)) from error
    except RuntimeError as error:
        if not any(word in str(error) for word in ("inline_container", "writ", "iostream")):
            raise
        raise OSError(str(error)) from error


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
