"""The files that a snapshot becomes: weights, the training's state, what is each rank's own."""

import io
import pickle
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.utils._pytree import tree_map_only

from runner.checkpoint.snapshot import Snapshot
from runner.checkpoint.weights import TiedNames, save_weights
from runner.errors import CheckpointError

TRAINING = "training.pt"
AVERAGE = "average"  # the stem of the files with averaged weights
RANK_FILE = re.compile(r"rank_\d+\.pt")


def write_snapshot(
    snapshot: Snapshot, directory: Path, *, max_shard_bytes: int | None, beat: Callable[[], None]
) -> tuple[TiedNames, TiedNames]:
    """Write `snapshot` into `directory`; return the names of tied weights, and of averaged ones.

    Weights go to files of at most `max_shard_bytes`. `beat` is called after each file.
    CheckpointError for a state that could be written, but never be read again.
    """
    tied, tied_average = {}, {}
    if snapshot.weights is not None:
        tied = save_weights(snapshot.weights, directory, max_shard_bytes=max_shard_bytes, beat=beat)
    if snapshot.average is not None:
        tied_average = save_weights(
            snapshot.average, directory, stem=AVERAGE, max_shard_bytes=max_shard_bytes, beat=beat
        )
    _check_readable(snapshot.training)
    torch.save(snapshot.training, directory / TRAINING)
    beat()
    for rank, state in enumerate(snapshot.ranks):
        torch.save(state, directory / rank_file(rank))
        beat()
    return tied, tied_average


def rank_file(rank: int) -> str:
    """Return the name of the file with what is rank `rank`'s own."""
    return f"rank_{rank}.pt"


def load_state(path: Path, *, mmap: bool = False) -> dict[str, Any]:
    """Return the state in `path`, its tensors on the CPU; no code of the file is run.

    With `mmap` the tensors are read when they are asked for.
    """
    return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)


@contextmanager
def write_errors_as_os_errors() -> Iterator[None]:
    """Safetensors and torch tell a full disk by exceptions of their own."""
    try:
        yield
    except SafetensorError as error:
        raise OSError(str(error)) from error
    except RuntimeError as error:
        if not any(word in str(error) for word in ("inline_container", "writ", "iostream")):
            raise
        raise OSError(str(error)) from error


def _check_readable(state: dict[str, Any]) -> None:
    """Raise CheckpointError naming the part that could be written, but never be read again.

    Reading runs no code, so it takes plain values, containers and tensors alone. Tensors are left
    out here: looking takes a millisecond.
    """
    for name, part in state.items():
        written = io.BytesIO()
        torch.save(tree_map_only(Tensor, lambda _: None, part), written)
        written.seek(0)
        try:
            torch.load(written, weights_only=True)
        except pickle.UnpicklingError as error:
            raise CheckpointError(
                f"the state of {name} could not be read back: its state_dict must hold nothing but "
                "numbers, texts, lists, dicts and tensors"
            ) from error
