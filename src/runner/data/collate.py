"""How samples become a batch: whose function does it, and several functions in a row."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch.utils.data import ConcatDataset, Subset

from runner.data.data import Collate, Data, Dataset

_OF_DATASETS = ("data_collator", "collate_fn")  # attributes under which a dataset brings its own


class InOrder:
    """Functions of which the first is given the samples, and each other what the last one made."""

    def __init__(self, functions: Sequence[Collate]) -> None:
        self._functions = tuple(functions)

    def __call__(self, samples: Any) -> Any:
        for function in self._functions:
            samples = function(samples)
        return samples


def the_only_one(samples: list[Any]) -> Any:
    """Return the one sample, which is a whole batch."""
    (batch,) = samples
    return batch


def collate_of(data: Data, name: str) -> Collate | None:
    """Return what makes the batches of the dataset `name` (see `Data.splits`).

    That is `data.collate`, if it is by split what it holds for "evaluation.NAME" or for
    "evaluation", and else what the dataset has as `data_collator` or `collate_fn`. None stands for
    torch's default.
    """
    chosen = data.collate
    if isinstance(chosen, Mapping):
        chosen = chosen.get(name, chosen.get(name.partition(".")[0]))
    if chosen is None:
        chosen = own_collate(data.splits()[name])
    return InOrder(chosen) if isinstance(chosen, Sequence) else chosen


def own_collate(dataset: Dataset) -> Any:
    """Return what `dataset`, or the one it wraps, has as `data_collator` or `collate_fn`."""
    if isinstance(dataset, Subset):
        return own_collate(dataset.dataset)  # type: ignore[arg-type]
    if isinstance(dataset, ConcatDataset):
        return own_collate(dataset.datasets[0])  # type: ignore[arg-type]
    own = (getattr(dataset, name, None) for name in _OF_DATASETS)
    return next((function for function in own if function is not None), None)
