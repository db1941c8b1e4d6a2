"""The part that a rank has in writing each checkpoint of one training."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from torch import nn
from torch.distributed.distributed_c10d import ProcessGroup
from torch.optim import Optimizer

from runner.checkpoint.spread import own_memory
from runner.runtime.ranks import Ranks
from runner.runtime.sharding import is_sharded

FOLDER = "sharded"  # of a checkpoint's directory


class PartWriter(Protocol):
    """Writes what this rank has of model, optimizer and average."""

    @property
    def is_needed(self) -> bool:
        """Return whether ranks other than 0 have something to write."""
        ...

    @property
    def num_bytes(self) -> int:
        """Return about what all ranks write."""
        ...

    def copy(self) -> None:
        """Copy this rank's part to the host; between two steps."""
        ...

    def write(self, directory: Path, beat: Callable[[], None], /) -> None:
        """Write the copy into the checkpoint in `directory`; on every rank, in a thread."""
        ...

    def release(self) -> None:
        """Let the other ranks go if this one, rank 0, failed before it came to `write`."""
        ...


class WholeOnly:
    """Nothing is spread over ranks: rank 0 writes all there is."""

    is_needed = False
    num_bytes = 0

    def copy(self) -> None: ...

    def write(self, directory: Path, beat: Callable[[], None], /) -> None: ...

    def release(self) -> None: ...


class ShardedWriter:
    """Model, optimizer and average are spread over the ranks of `group`: each writes its part."""

    is_needed = True

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        average: nn.Module | None,
        *,
        group: ProcessGroup,
    ) -> None:
        # Here, so that a command that only reads weights need not import it (0.5 s).
        from runner.checkpoint import sharded

        self._sharded = sharded
        self._parts = (model, optimizer, average)
        self._group = group
        self._copy: sharded.ShardedState | None = None
        self._has_begun = False

    @property
    def num_bytes(self) -> int:
        tensors = self._copy.tensors.values() if self._copy else ()
        return self._group.size() * sum(own_memory(tensor).nbytes for tensor in tensors)

    def copy(self) -> None:
        self._has_begun = False
        self._copy = self._sharded.host_copy(*self._parts, reuse=self._copy)

    def write(self, directory: Path, beat: Callable[[], None], /) -> None:
        assert self._copy is not None
        self._has_begun = True
        folder = directory / FOLDER
        self._sharded.save_sharded(self._copy, folder, group=self._group, beat=beat)

    def release(self) -> None:
        if not self._has_begun:
            self._sharded.cancel_save(group=self._group)


def writer_for(
    model: nn.Module, optimizer: object, average: nn.Module | None, *, ranks: Ranks
) -> PartWriter:
    """Return what writes this rank's part of model, optimizer and average."""
    if not is_sharded(model):
        return WholeOnly()
    assert isinstance(optimizer, Optimizer)
    assert ranks.saving_group is not None
    return ShardedWriter(model, optimizer, average, group=ranks.saving_group)
