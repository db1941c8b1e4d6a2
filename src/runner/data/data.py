"""`Data`: what a trainer learns from, as one object."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.utils.data import ConcatDataset, Subset, TensorDataset

Batch = dict[str, Any]  # tensors (moved to the device by the trainer) and lists of plain values


class BatchAugmentation(Protocol):
    """A random change of a whole training batch.

    All randomness comes from `generator` (on the CPU, seeded by runner from the run's seed and the
    step), so that a resumed run sees the same pictures.
    """

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch: ...


class MapDataset(Protocol):
    """A dataset with a length and random access."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


@dataclass(frozen=True, kw_only=True)
class Data:
    """Datasets per split and how their samples become batches.

    A dataset whose `deterministic` attribute is true (or a `TensorDataset`) gives the same sample
    for the same index without random numbers; every other one is seeded by (seed, epoch, index)
    before each sample. `collate` makes a `Batch` of a list of samples (None: torch's default).
    `augment` is applied to training batches on the device.
    """

    train: MapDataset
    evaluation: MapDataset | None = None
    test: MapDataset | None = None
    collate: Callable[[list[Any]], Any] | None = None
    augment: BatchAugmentation | None = None

    def splits(self) -> dict[str, MapDataset]:
        """Return the splits that exist, by name."""
        named = {"train": self.train, "evaluation": self.evaluation, "test": self.test}
        return {name: dataset for name, dataset in named.items() if dataset is not None}


def is_deterministic(dataset: MapDataset) -> bool:
    """Return whether the samples of `dataset` need no random numbers, as far as it tells."""
    match dataset:
        case TensorDataset():
            return True
        case Subset():
            return is_deterministic(dataset.dataset)  # type: ignore[arg-type]
        case ConcatDataset():
            return all(is_deterministic(part) for part in dataset.datasets)  # type: ignore[arg-type]
    return bool(getattr(dataset, "deterministic", False))


def texts_of(dataset: MapDataset) -> Sequence[str]:
    """Return the target texts of a text dataset without reading its pictures."""
    return dataset.texts  # type: ignore[attr-defined]
