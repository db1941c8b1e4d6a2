"""`Data`: what a trainer learns from, as one object."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard

from torch.utils.data import ConcatDataset, IterableDataset, Subset, TensorDataset

from runner.data.draws import Draws

Batch = dict[str, Any]  # tensors (moved to the device by the trainer) and lists of plain values


class BatchAugmentation(Protocol):
    """A random change of a whole training batch.

    All randomness comes from `draws` (seeded by runner from the run's seed and the step), so that
    a resumed run, and one on another number of ranks, sees the same samples.
    """

    def __call__(self, batch: Batch, draws: Draws) -> Batch: ...


class MapDataset(Protocol):
    """A dataset with a length and random access."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class Stream(Protocol):
    """An iterable dataset, whose samples come one after the other.

    To train on one, it also needs `state_dict()`, which tells where it stands after the last
    sample that it gave, and `load_state_dict(state)`, after which `__iter__` goes on from there.
    It may have `set_epoch(epoch)`, called before each epoch, and `num_shards` together with
    `shard(num_shards, index)`, which returns one of so many parts as a dataset of its own.
    """

    def __iter__(self) -> Iterator[Any]: ...


@dataclass(frozen=True, kw_only=True)
class Data:
    """Datasets per split and how their samples become batches.

    A dataset whose `deterministic` attribute is true (or a `TensorDataset`) gives the same sample
    for the same index without random numbers; for every other one they are seeded before each
    sample, by (seed, epoch, index), in a stream by (seed, epoch, shard, number in the shard).
    `collate` makes a `Batch` of a list of samples (None: torch's default). `augment` is applied to
    training batches on the device.
    """

    train: MapDataset | Stream
    evaluation: MapDataset | Stream | None = None
    test: MapDataset | Stream | None = None
    collate: Callable[[list[Any]], Any] | None = None
    augment: BatchAugmentation | None = None

    def splits(self) -> dict[str, MapDataset | Stream]:
        """Return the splits that exist, by name."""
        named = {"train": self.train, "evaluation": self.evaluation, "test": self.test}
        return {name: dataset for name, dataset in named.items() if dataset is not None}


def is_map_style(dataset: MapDataset | Stream) -> TypeGuard[MapDataset]:
    """Return whether `dataset` has a length and random access; otherwise it is a stream."""
    if isinstance(dataset, IterableDataset):  # which may tell a length, or look up a column
        return False
    return hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")


def is_deterministic(dataset: MapDataset | Stream) -> bool:
    """Return whether the samples of `dataset` need no random numbers, as far as it tells."""
    match dataset:
        case TensorDataset():
            return True
        case Subset():
            return is_deterministic(dataset.dataset)  # type: ignore[arg-type]
        case ConcatDataset():
            return all(is_deterministic(part) for part in dataset.datasets)  # type: ignore[arg-type]
    return bool(getattr(dataset, "deterministic", False))


def num_shards_of(dataset: MapDataset | Stream) -> int:
    """Return in how many shards `dataset` comes; one if it does not say."""
    return int(getattr(dataset, "num_shards", 1))


def texts_of(dataset: MapDataset | Stream) -> Sequence[str]:
    """Return the target texts of a text dataset without reading its pictures."""
    return dataset.texts  # type: ignore[attr-defined]
