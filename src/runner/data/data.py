"""`Data`: what a trainer learns from, as one object."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard

from torch.utils.data import ConcatDataset, IterableDataset, Sampler, Subset, TensorDataset

from runner.data.draws import Draws
from runner.errors import DataError, did_you_mean

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


class Staged(Protocol):
    """Datasets in turn, each for a while; `runner.data.curriculum.Curriculum` is one."""

    @property
    def stages(self) -> Sequence[tuple[MapDataset, Any]]: ...


Dataset = MapDataset | Stream | Staged
Datasets = Dataset | Mapping[str, Dataset] | None  # of one split: none, one, or several by name
Collate = Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True)
class Data:
    """Datasets per split and how their samples become batches.

    `evaluation` and `test` may be several datasets by name; one evaluation then measures all of
    them, and what it finds is called "NAME.loss". A dataset whose `deterministic` attribute is true
    (or a `TensorDataset`) gives the same sample for the same index without random numbers; for
    every other one they are seeded before each sample, by (seed, epoch, index), in a stream by
    (seed, epoch, shard, number in the shard). `collate` makes a `Batch` of a list of samples: a
    function, several in their order, or either by split (see `collate_of`). `augment` is applied to
    training batches on the device. `sampler` decides which training samples an epoch sees, in which
    order (see `SampledOrder`). `preprocessor` is saved with the run, so that what was trained can
    be used on new input (see `save_preprocessor`). Raises DataError for names that cannot be.
    """

    train: Dataset
    evaluation: Datasets = None
    test: Datasets = None
    collate: Collate | Sequence[Collate] | Mapping[str, Collate | Sequence[Collate]] | None = None
    augment: BatchAugmentation | None = None
    sampler: Sampler[int] | None = None
    preprocessor: Any = None

    def __post_init__(self) -> None:
        for split in ("evaluation", "test"):
            _check_names(split, getattr(self, split))
        known = {"train", "evaluation", "test", *self.splits()}
        for name in self.collate if isinstance(self.collate, Mapping) else ():
            if name not in known:
                raise DataError(
                    f"data.collate has something for '{name}', which is no split "
                    f"(there are {', '.join(sorted(known))}){did_you_mean(name, known)}"
                )

    def splits(self) -> dict[str, Dataset]:
        """Return the datasets that exist, by name: "train", "evaluation" or "evaluation.NAME"."""
        named = {"train": self.train}
        for split in ("evaluation", "test"):
            datasets = getattr(self, split)
            if isinstance(datasets, Mapping):
                named |= {f"{split}.{name}": dataset for name, dataset in datasets.items()}
            elif datasets is not None:
                named[split] = datasets
        return named


def in_split(names: Iterable[str], split: str) -> dict[str, str]:
    """Return those of `names` (see `Data.splits`) that belong to `split`, by their own names.

    A split that is one dataset has the name "" alone; one that is not there, none at all.
    """
    if split in names:
        return {"": split}
    return {name.partition(".")[2]: name for name in names if name.startswith(f"{split}.")}


def _check_names(split: str, datasets: Any) -> None:
    if not isinstance(datasets, Mapping):
        return
    if not datasets:
        raise DataError(f"data.{split} names no dataset: leave it out, or give one")
    for name in datasets:
        if not isinstance(name, str) or not re.fullmatch(r"[\w-]+", name):
            raise DataError(
                f"data.{split}: the name {name!r} of a dataset must be made of letters, digits, "
                "_ and -"
            )


def is_map_style(dataset: Dataset) -> TypeGuard[MapDataset]:
    """Return whether `dataset` has a length and random access; otherwise it is a stream."""
    if isinstance(dataset, IterableDataset):  # which may tell a length, or look up a column
        return False
    return hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")


def is_deterministic(dataset: Dataset) -> bool:
    """Return whether the samples of `dataset` need no random numbers, as far as it tells."""
    match dataset:
        case TensorDataset():
            return True
        case Subset():
            return is_deterministic(dataset.dataset)  # type: ignore[arg-type]
        case ConcatDataset():
            return all(is_deterministic(part) for part in dataset.datasets)  # type: ignore[arg-type]
    return bool(getattr(dataset, "deterministic", False))


def num_shards_of(dataset: Dataset) -> int:
    """Return in how many shards `dataset` comes; one if it does not say."""
    return int(getattr(dataset, "num_shards", 1))


def texts_of(dataset: Dataset) -> Sequence[str]:
    """Return the target texts of a text dataset without reading its pictures."""
    return dataset.texts  # type: ignore[attr-defined]
