"""Tensors of which each rank writes, and reads, its own part (torch.distributed.checkpoint).

    __0_0.distcp, __1_0.distcp    the parts that rank 0, rank 1 wrote
    .metadata                     which part of which tensor lies where; written last

Reading runs no code from the files. Tensors are read with torch's weights_only; .metadata, which
torch pickles, by an unpickler that makes nothing but torch's records of sizes and places.
"""

import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner, DefaultSavePlanner
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta, TensorStorageMetadata
from torch.distributed.checkpoint.planner import ReadItem, WriteItem
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.distributed_c10d import ProcessGroup

from runner.errors import CheckpointError

METADATA = ".metadata"
_RECORDS = {
    ("torch", "Size"),
    ("torch.serialization", "_get_layout"),
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
    *(
        ("torch.distributed.checkpoint.metadata", name)
        for name in (
            "BytesStorageMetadata",
            "ChunkStorageMetadata",
            "Metadata",
            "MetadataIndex",
            "StorageMeta",
            "TensorProperties",
            "TensorStorageMetadata",
            "_MEM_FORMAT_ENCODING",
        )
    ),
}


def write_parts(
    tensors: dict[str, Tensor],
    path: Path,
    *,
    group: ProcessGroup,
    beat: Callable[[], None] = lambda: None,
) -> None:
    """Write this rank's part of `tensors` into the directory `path`; every rank of `group` calls.

    The others touch nothing before rank 0 is here. What is not spread is written by rank 0. Raises
    OSError, on every rank, when one cannot write. `beat` is called for each tensor.
    """
    _begin(group, goes_on=True)
    try:
        save(
            dict(tensors),
            storage_writer=_Writer(path),
            planner=_SavePlanner(beat),
            process_group=group,
        )
    except CheckpointException as exception:
        rank, (error, _) = next(iter(exception.failures.items()))
        if not isinstance(error, OSError | RuntimeError):
            raise RuntimeError(f"rank {rank} could not write to {path}") from error
        # torch tells a full disk by a RuntimeError of its own.
        raise OSError(f"rank {rank} could not write to {path}: {error}") from error


def cancel_parts(*, group: ProcessGroup) -> None:
    """Tell the ranks that call `write_parts` that rank 0, which calls this, cannot begin."""
    _begin(group, goes_on=False)


def read_parts(
    tensors: dict[str, Tensor], path: Path, *, beat: Callable[[], None] = lambda: None
) -> None:
    """Fill this rank's part of `tensors` from the directory `path`; each rank on its own.

    Raises CheckpointError if they are not there, or not whole. `beat` is called for each tensor.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        try:
            load(
                dict(tensors),
                storage_reader=_Reader(path),
                planner=_LoadPlanner(beat),
                no_dist=True,
            )
        except CheckpointException as exception:
            _, (error, _) = next(iter(exception.failures.items()))
            raise CheckpointError(f"{path} cannot be read: {error}") from error


def records(path: Path) -> dict[str, TensorStorageMetadata]:
    """Return size and dtype of each tensor in the directory `path`, or raise CheckpointError."""
    return dict(_read_metadata(path).state_dict_metadata)  # type: ignore[arg-type]


def _begin(group: ProcessGroup, *, goes_on: bool) -> None:
    answer = torch.tensor(int(goes_on))
    dist.broadcast(answer, group=group, group_src=0)
    if dist.get_rank(group) != 0 and not answer.item():
        raise OSError("rank 0 could not begin to write")


class _Writer(FileSystemWriter):
    def storage_meta(self) -> StorageMeta:
        return StorageMeta()  # without torch's absolute path and random id


class _Reader(FileSystemReader):
    def read_metadata(self, *_: Any, **__: Any) -> Metadata:
        return _read_metadata(Path(self.path))


class _SavePlanner(DefaultSavePlanner):
    def __init__(self, beat: Callable[[], None]) -> None:
        super().__init__(dedup_save_to_lowest_rank=True)
        self._beat = beat

    def resolve_data(self, write_item: WriteItem) -> Any:
        self._beat()
        return super().resolve_data(write_item)


class _LoadPlanner(DefaultLoadPlanner):
    def __init__(self, beat: Callable[[], None]) -> None:
        super().__init__()
        self._beat = beat

    def commit_tensor(self, read_item: ReadItem, tensor: Tensor) -> None:
        super().commit_tensor(read_item, tensor)
        self._beat()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:
        is_dtype = module_name == "torch" and isinstance(
            getattr(torch, global_name, None), torch.dtype
        )
        if is_dtype or (module_name, global_name) in _RECORDS:
            return super().find_class(module_name, global_name)
        raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}")


def _read_metadata(path: Path) -> Metadata:
    try:
        with (path / METADATA).open("rb") as file:
            metadata = _Unpickler(file).load()
    except Exception as error:  # damaged pickles raise anything
        raise CheckpointError(f"{path / METADATA} cannot be read: {error}") from error
    if not isinstance(metadata, Metadata):
        raise CheckpointError(f"{path / METADATA} holds no description of tensors")
    return metadata
