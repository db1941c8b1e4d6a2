"""Checkpoints on disk: committed whole or not at all.

    step_00000500/
        model.safetensors     weights under the names of the plain module (see weights.py)
        average.safetensors   averaged weights, if training keeps them: those to evaluate with
        training.pt           everything else that is the same on all ranks
        rank_0.pt ...         what is each rank's own: random generators, its place in the data
        sharded/              instead of the weights, and with the optimizer's state, where they
                              are spread over ranks (see sharded.py)
        manifest.json         written last

A checkpoint is written to a hidden directory beside its place, synced, and renamed.
"""

import logging
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from runner.checkpoint.manifest import (
    Manifest,
    committed_steps,
    read_manifest,
    step_folders,
    step_path,
    verified_manifest,
    weight_names,
    write_manifest,
)
from runner.checkpoint.sharded_writer import FOLDER
from runner.checkpoint.snapshot import Snapshot
from runner.checkpoint.snapshot_files import (
    AVERAGE,
    RANK_FILE,
    TRAINING,
    load_state,
    rank_file,
    write_errors_as_os_errors,
    write_snapshot,
)
from runner.checkpoint.spread import optimizer_state_parts
from runner.checkpoint.weights import load_weights, read_tensors
from runner.errors import CheckpointError
from runner.files import sync_directory

_log = logging.getLogger(__name__)


def _nothing(_directory: Path) -> None: ...


class CheckpointStore:
    """The checkpoints of one run; weights go to files of at most `max_shard_bytes`."""

    def __init__(self, root: Path, *, max_shard_bytes: int | None = None) -> None:
        self.root = root
        self._max_shard_bytes = max_shard_bytes

    def path_of(self, step: int) -> Path:
        """Return where the checkpoint of `step` lies, whether or not there is one."""
        return step_path(self.root, step)

    def steps(self) -> list[int]:
        """Return the steps that have a manifest, oldest first."""
        return committed_steps(self.root)

    def folders(self) -> list[int]:
        """Return the steps that have a directory here, valid or not, oldest first."""
        return step_folders(self.root)

    def write(
        self,
        step: int,
        snapshot: Snapshot,
        *,
        add: Callable[[Path], None] = _nothing,
        beat: Callable[[], None] = lambda: None,
    ) -> Path:
        """Commit `snapshot` as the checkpoint of `step` and return its directory.

        `add` may write more files into the directory it is given. Raises OSError when the disk does
        not take it; what was there before is untouched. `beat` is called after each file, and each
        piece of a checksum.
        """
        final = self.path_of(step)
        self.root.mkdir(parents=True, exist_ok=True)
        self._clear_leftovers()
        self._check_space(snapshot.num_bytes)
        partial = self.partial_path(step)
        partial.mkdir()
        try:
            with write_errors_as_os_errors():
                tied, tied_average = write_snapshot(
                    snapshot, partial, max_shard_bytes=self._max_shard_bytes, beat=beat
                )
                add(partial)
            write_manifest(partial, step=step, tied=tied, tied_average=tied_average, beat=beat)
            mode = partial.stat().st_mode & 0o666  # safetensors lets nobody else read its files
            for path in [*partial.rglob("*"), partial]:
                if path.is_file():
                    path.chmod(mode)
                _sync(path)
                beat()
            self._replace(final, partial)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        return final

    def partial_path(self, step: int) -> Path:
        """Return where this process writes the checkpoint of `step` before it is committed."""
        return self.root / f".{self.path_of(step).name}.{os.getpid()}.partial"

    def newest_valid(self, *, beat: Callable[[], None] = lambda: None) -> int | None:
        """Return the newest step whose files match its manifest, or None.

        Only the one who holds the run directory asks: what a kill left half done is put back, and
        damaged checkpoints that are newer are renamed, so that they never count as the newest.
        `beat` is called for each piece that was read.
        """
        self._recover()
        damaged: list[int] = []
        for step in reversed(self.folders()):
            if self.is_valid(step, beat=beat):
                self._set_aside(damaged)
                return step
            damaged.append(step)
        return None

    def is_valid(self, step: int, *, beat: Callable[[], None] = lambda: None) -> bool:
        """Return whether the files of `step` match its manifest; why not is logged."""
        try:
            verified_manifest(self.path_of(step), beat=beat)
        except CheckpointError as error:
            _log.warning("checkpoint skipped step=%d: %s", step, error)
            return False
        return True

    def read(
        self,
        step: int,
        model: nn.Module,
        average: nn.Module | None = None,
        optimizer: Optimizer | None = None,
        *,
        beat: Callable[[], None] = lambda: None,
    ) -> dict[str, Any]:
        """Load the weights of `step` into `model` and `average`; return the training state.

        The state of `optimizer` in it has this rank's part, if the model is spread over ranks.
        Loading runs no code from the file. `beat` is called after each file.
        """
        directory, manifest = self.path_of(step), self.manifest(step)
        training = load_state(directory / TRAINING)
        beat()
        if (directory / FOLDER).is_dir():
            assert optimizer is not None
            folder = directory / FOLDER
            state = _sharded().load_sharded(folder, model, optimizer, average, beat=beat)
            return {**training, "optimizer": state}
        has_average = _has_average(manifest)
        if has_average != (average is not None):
            raise CheckpointError(
                f"{directory} was saved {'with' if has_average else 'without'} averaged weights: "
                "trainer.ema_decay must be as it was"
            )
        load_weights(model, directory, manifest.tied, beat=beat)
        if average is not None:
            load_weights(average, directory, manifest.tied_average, stem=AVERAGE, beat=beat)
        if optimizer is not None:
            training["optimizer"] = optimizer_state_parts(optimizer, training["optimizer"])
        return training

    def read_identity(self, step: int) -> dict[str, Any]:
        """Return what the training of `step` was begun with: its seed, the fingerprint of its data.

        Empty for a checkpoint that is not one of a training.
        """
        return load_state(self.path_of(step) / TRAINING, mmap=True).get("identity", {})

    def read_rank(self, step: int, rank: int) -> dict[str, Any] | None:
        """Return what rank `rank` had as its own at `step`; None if there was no such rank."""
        path = self.path_of(step) / rank_file(rank)
        return load_state(path) if rank < self.num_ranks(step) else None

    def num_ranks(self, step: int) -> int:
        """Return how many ranks trained when the checkpoint of `step` was written."""
        return sum(RANK_FILE.fullmatch(name) is not None for name in self.manifest(step).files)

    def read_weights(self, step: int, model: nn.Module) -> None:
        """Load the weights to use, of `step`, into `model`: the averaged ones if there are any."""
        directory, manifest = self.path_of(step), self.manifest(step)
        if (directory / FOLDER).is_dir():
            _sharded().load_sharded_weights(directory / FOLDER, model)
        elif _has_average(manifest):
            load_weights(model, directory, manifest.tied_average, stem=AVERAGE)
        else:
            load_weights(model, directory, manifest.tied)

    def read_tensors(self, step: int) -> dict[str, Tensor]:
        """Return the weights to use, of `step`, by name, whole and with those that are tied."""
        directory, manifest = self.path_of(step), self.manifest(step)
        if (directory / FOLDER).is_dir():
            return _sharded().read_sharded_weights(directory / FOLDER)
        if _has_average(manifest):
            return read_tensors(directory, manifest.tied_average, stem=AVERAGE)
        return read_tensors(directory, manifest.tied)

    def weight_files(self, step: int) -> list[Path]:
        """Return the files with the weights to use, of `step`; none if they are in parts."""
        return [self.path_of(step) / name for name in weight_names(self.manifest(step))]

    def manifest(self, step: int) -> Manifest:
        """Return the manifest of `step`, or raise CheckpointError."""
        return read_manifest(self.path_of(step))

    def delete(self, step: int) -> None:
        """Remove the checkpoint of `step`: it vanishes at once, and only then its files."""
        doomed = self.root / f".{self.path_of(step).name}.deleted.partial"
        shutil.rmtree(doomed, ignore_errors=True)
        self.path_of(step).rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)

    def _check_space(self, needed: int) -> None:
        free = shutil.disk_usage(self.root).free
        if free < needed:
            raise OSError(
                f"it needs {needed / 1e6:.1f} MB in {self.root}, where {free / 1e6:.1f} MB are free"
            )

    def _replace(self, final: Path, partial: Path) -> None:
        """Move `partial` to `final`; one of the same step that is there is set aside until then."""
        aside = self.root / f".{final.name}.replaced"
        if final.exists():
            final.rename(aside)
        try:
            partial.rename(final)
        except OSError:
            with suppress(OSError):
                aside.rename(final)
            raise
        sync_directory(self.root)
        shutil.rmtree(aside, ignore_errors=True)

    def _set_aside(self, damaged: list[int]) -> None:
        for step in damaged:
            path = self.path_of(step)
            aside = self.root / f"damaged_{path.name}"
            shutil.rmtree(aside, ignore_errors=True)
            path.rename(aside)
            _log.warning("renamed to %s", aside.name)

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


def _sharded() -> ModuleType:
    """Import what reads sharded checkpoints (0.5 s, unless there is an optimizer), if need be."""
    from runner.checkpoint import sharded

    return sharded


def _has_average(manifest: Manifest) -> bool:
    return any(name.startswith(f"{AVERAGE}.") for name in manifest.files)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
