"""Ready-made batches: an iterable of them, as another library's loader gives, read as it is.

What order they come in is up to the iterable. One with `state_dict()` and `load_state_dict(state)`
goes on exactly; another one can only be read again from the start of the epoch.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from runner.data.epoch import MicroBatch
from runner.data.lengths import Lengths
from runner.data.restorable import check_restorable
from runner.errors import ConfigError, DataError
from runner.protocols import Stateful, check_state_keys
from runner.runtime.seeds import preserved_cpu_generators, seed_sample

_log = logging.getLogger(__name__)


class Batches:
    """A dataset whose batches are made by `source`; collate and sizes of batches are up to it.

    With `inexact` one without a state may be trained on: resumed within an epoch, it is read again
    from its start up to the place where the run stood. That is exact only if `source` gives the
    same batches again; random numbers of python, numpy and torch that it draws are the same.
    """

    def __init__(self, source: Iterable[Any], *, inexact: bool = False) -> None:
        self.source = source
        self.inexact = inexact

    def __iter__(self) -> Iterator[Any]:
        return iter(self.source)

    @property
    def fingerprint(self) -> str:
        """What is known of the source."""
        said = getattr(self.source, "fingerprint", None)
        return str(said or type(self.source).__qualname__)

    @property
    def is_exact(self) -> bool:
        """Whether a run goes on with the very batches it would have seen."""
        return isinstance(self.source, Stateful | Sequence)


def check_batches(dataset: Batches, *, name: str, must_resume: bool, num_ranks: int) -> None:
    """Raise what is wrong with reading `dataset`, called `name`, and going on with it."""
    if num_ranks > 1:
        raise ConfigError(
            f"data.{name} gives ready-made batches, which {num_ranks} ranks cannot share: give a "
            "DataLoader or a dataset, or hardware.num_processes=1"
        )
    if must_resume and not (dataset.is_exact or dataset.inexact):
        raise DataError(
            f"data.{name}: {type(dataset.source).__qualname__} gives batches but has no state_dict "
            "and load_state_dict, so a run on it cannot be resumed exactly: give a DataLoader or "
            "a dataset, add the two, or say inexact=True to read it again up to the place"
        )
    if hasattr(dataset.source, "__next__") and not isinstance(dataset.source, Stateful):
        raise DataError(
            f"data.{name} is an iterator, which can be read only once: give an object whose "
            "`__iter__` begins anew"
        )


class BatchesLoader:
    """The batches of `Batches`; how many there are, it says itself or only reading tells."""

    reads_ahead = True

    def __init__(self, dataset: Batches, *, seed: int, max_batches: int = 0) -> None:
        self._source: Any = dataset.source
        self._is_exact = dataset.is_exact
        self._seed = seed
        self._limit = max_batches or None
        self._has_state = isinstance(dataset.source, Stateful)
        self._first_state = self._source.state_dict() if self._has_state else None
        check_restorable(self._first_state, "the loader")

    @property
    def num_batches(self) -> int | None:
        """Return the number of batches of an epoch, if the source has a length."""
        if not hasattr(self._source, "__len__"):
            return None
        length = len(self._source)
        return length if self._limit is None else min(length, self._limit)

    @property
    def lengths(self) -> Lengths | None:
        """Return the same for every epoch."""
        return None if self.num_batches is None else Lengths(self.num_batches)

    def epoch(
        self, number: int, start: int = 0, state: dict[str, Any] | None = None
    ) -> "BatchesEpoch":
        """Return epoch `number` from batch `start` on; `state` is that of the source.

        An epoch begins where the source stood at the end of the one before.
        """
        if state:
            check_state_keys("data", state, ["source"])
        self._set_source(number, start, state["source"] if state else None)
        passed_over = 0 if state else start
        if passed_over and not self._is_exact:
            _log.warning(
                "the batches are read again from the start of the epoch, %d of them passed over: "
                "%s has no state, and the run goes on exactly only if it gives the same again",
                passed_over,
                type(self._source).__qualname__,
            )
        batches = self._read(number, start - passed_over)
        for _ in range(passed_over):
            next(batches)
        left = None if self._limit is None else self._limit - start
        return BatchesEpoch(batches, limit=left, first_state=self._first_state)

    def close(self) -> None:
        """Nothing is left open."""

    def _set_source(self, epoch: int, start: int, state: Any) -> None:
        """Let the next iteration begin here: an epoch's own number counts, unless within it."""
        source = self._source
        if state is not None and not start:
            source.load_state_dict(state)
        if hasattr(source, "set_epoch"):
            source.set_epoch(epoch)
        if state is not None and start:
            source.load_state_dict(state)

    def _read(self, epoch: int, number: int) -> Iterator[tuple[Any, Any]]:
        """Yield each batch with the source's state after it, and a last state behind the end."""
        with preserved_cpu_generators():
            seed_sample(self._seed, epoch)
            batches = iter(self._source)
        batch = None
        while batch is not _END:
            with preserved_cpu_generators():
                seed_sample(self._seed, epoch, number)
                batch = next(batches, _END)
            number += 1
            yield batch, self._source.state_dict() if self._has_state else None


class BatchesEpoch:
    """An `Epoch` that knows that it is over by holding one batch ahead."""

    def __init__(
        self, batches: Iterator[tuple[Any, Any]], *, limit: int | None, first_state: Any
    ) -> None:
        self._batches = batches
        self._left = limit
        self._first_state = first_state  # where an epoch begins again that was cut short
        self._state: Any = None  # of the source, after the last batch taken
        self._held: tuple[Any, Any] | None = None
        self._error: Exception | None = None

    @property
    def is_over(self) -> bool:
        """Return whether nothing is left; what goes wrong in looking is raised by `take`."""
        if self._left == 0:
            return True
        if self._held is None and self._error is None:
            try:
                self._held = next(self._batches)
            except Exception as error:
                self._error = error
        if self._held is None or self._held[0] is not _END:
            return False
        self._state = self._held[1]
        return True

    def take(self, count: int) -> list[MicroBatch]:
        """Return the next `count` batches; fewer, but one at least, at the end."""
        taken = []
        while len(taken) < count and not self.is_over:
            if self._error is not None:
                raise self._error
            assert self._held is not None
            (batch, self._state), self._held = self._held, None
            if self._left is not None:
                self._left -= 1
                self._state = self._state if self._left else self._first_state
            size = num_samples_of(batch)
            taken.append(MicroBatch(batch, size, slice(0, size)))
        return taken

    def end(self) -> None:
        """Let nothing be left."""
        self._left = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the source after the last batch taken; at the end, after that."""
        return {} if self._state is None else {"source": self._state}


def num_samples_of(batch: Any) -> int:
    """Return the length of the first tensor, or of the first list, in nested containers; else 1."""
    if isinstance(batch, Tensor):
        return len(batch) if batch.dim() else 1
    parts = list(batch.values()) if isinstance(batch, Mapping) else batch
    if not isinstance(parts, list | tuple):
        return 1
    for part in parts:
        if isinstance(part, Tensor | Mapping | list | tuple):
            return num_samples_of(part)
    return len(batch) if isinstance(batch, list) else 1


_END = object()
