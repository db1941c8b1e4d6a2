"""Recognise data again: a run continues on the data it began with, or is refused."""

import hashlib
from typing import Any

import torch
from torch.utils.data import ConcatDataset, Subset, TensorDataset

from runner.data.curriculum import Curriculum
from runner.data.data import Data, Dataset, is_map_style, num_shards_of


def fingerprint(data: Data) -> dict[str, str]:
    """Return one short text for each split: its length and a hash of what is cheap to read.

    A stream tells its shards instead of a length. A dataset may say more by an attribute
    `fingerprint` (a text); text datasets give their texts, TensorDatasets their tensors.
    """
    return {
        name: f"{_extent(dataset)}:{_digest(_essence(dataset))}"
        for name, dataset in data.splits().items()
    }


def _extent(dataset: Dataset) -> str:
    if isinstance(dataset, Curriculum):
        return "+".join(str(len(stage.dataset)) for stage in dataset.stages)
    if is_map_style(dataset):
        return str(len(dataset))
    return f"{num_shards_of(dataset)} shards"  # which the order of a stream depends on


def _essence(dataset: Any) -> Any:
    if isinstance(dataset, Curriculum):
        return [(_essence(stage.dataset), str(stage.duration)) for stage in dataset.stages]
    if hasattr(dataset, "fingerprint"):
        return dataset.fingerprint
    if hasattr(dataset, "texts"):
        return "\n".join(dataset.texts)
    if isinstance(dataset, Subset):
        return _essence(dataset.dataset), list(dataset.indices)
    if isinstance(dataset, ConcatDataset):
        return [_essence(part) for part in dataset.datasets]
    if isinstance(dataset, TensorDataset):
        return _digest(b"".join(_bytes(tensor) for tensor in dataset.tensors))
    return type(dataset).__qualname__


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.detach().contiguous().cpu().flatten().view(torch.uint8).numpy().tobytes()


def _digest(essence: Any) -> str:
    content = essence if isinstance(essence, bytes) else str(essence).encode()
    return hashlib.blake2b(content, digest_size=8).hexdigest()
