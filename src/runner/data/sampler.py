"""A user's sampler as the order of training: the same again in any epoch and from any place."""

import copy
from typing import Any

from torch.utils.data import (
    DistributedSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from runner.data.restorable import check_restorable
from runner.errors import DataError
from runner.protocols import Stateful, check_state_keys
from runner.runtime.seeds import preserved_cpu_generators, seed_sample, seeded_generator

_ORDER = 0x73616D706C6572  # keeps the stream of the order apart from those of the samples
_OF_TORCH = (RandomSampler, SequentialSampler, SubsetRandomSampler, WeightedRandomSampler)


class SampledOrder:
    """The indices of each epoch as `sampler` gives them, the same on every rank.

    The random numbers of python, numpy and torch that it draws are seeded by (seed, epoch), those
    of torch's own samplers too. What else it depends on it has to say: with `set_epoch(epoch)` it
    is a function of the epoch, with `state_dict()` and `load_state_dict(state)` it goes on from
    where it stood. DataError if it has neither, or a state that a checkpoint cannot hold.
    """

    def __init__(self, sampler: Sampler[int], *, seed: int) -> None:
        _check(sampler)
        self._is_of_torch = type(sampler) in _OF_TORCH
        self._sampler: Any = copy.copy(sampler) if self._is_of_torch else sampler
        self._has_state = isinstance(sampler, Stateful)
        self._first_state: Any = None  # before the epoch drawn last
        self._seed = seed
        self.length = _length_of(sampler)

    def indices(self, epoch: int, state: dict[str, Any] | None = None) -> list[int]:
        """Return the indices of `epoch`; `state` is what `state_dict` gave within or before it.

        DataError if they are not as many as the sampler has announced.
        """
        if state:
            check_state_keys("the sampler", state, ["first", "last"])
            self._sampler.load_state_dict(state["first"])
        if self._has_state:
            self._first_state = copy.deepcopy(self._sampler.state_dict())
        indices = self._drawn(epoch)
        if state and state["last"] is not None:
            self._sampler.load_state_dict(state["last"])
        return indices

    def state_dict(self, *, is_over: bool) -> dict[str, Any]:
        """Return what `indices` needs for this epoch again, or for the next one if it `is_over`.

        What was changed in the sampler since its last epoch was drawn is not lost.
        """
        if not self._has_state:
            return {}
        now = copy.deepcopy(self._sampler.state_dict())
        if is_over:
            return {"first": now, "last": None}
        return {"first": self._first_state, "last": now}

    def _drawn(self, epoch: int) -> list[int]:
        with preserved_cpu_generators():
            seed_sample(_ORDER, self._seed, epoch)
            if hasattr(self._sampler, "set_epoch"):
                self._sampler.set_epoch(epoch)
            if self._is_of_torch:
                self._sampler.generator = seeded_generator(_ORDER, self._seed, epoch)
            indices = [int(index) for index in self._sampler]
        if len(indices) != self.length:
            raise DataError(
                f"data.sampler: {_name(self._sampler)} gave {len(indices)} indices in epoch "
                f"{epoch} and not {self.length}, its length, which decides how long an epoch is"
            )
        return indices


def _check(sampler: Sampler[int]) -> None:
    if isinstance(sampler, DistributedSampler):
        raise DataError(
            "data.sampler: DistributedSampler shares samples out among ranks, which runner does "
            "itself: give the sampler of the whole data, or none with data.shuffle=true"
        )
    if isinstance(sampler, Stateful):
        check_restorable(sampler.state_dict(), f"the sampler {_name(sampler)}")
    elif type(sampler) not in _OF_TORCH and not hasattr(sampler, "set_epoch"):
        raise DataError(
            f"data.sampler: {_name(sampler)} does not say what its order depends on, so a run "
            "could not be resumed exactly: give it set_epoch(epoch), of which alone the order is "
            "then a function, or state_dict() and load_state_dict(state)"
        )


def _length_of(sampler: Any) -> int:
    if not hasattr(sampler, "__len__"):
        raise DataError(
            f"data.sampler: {_name(sampler)} has no length, which decides how long an epoch is: "
            "give it __len__"
        )
    if not len(sampler):
        raise DataError(f"data.sampler: {_name(sampler)} gives no samples: its length is 0")
    return len(sampler)


def _name(sampler: Any) -> str:
    return type(sampler).__qualname__
