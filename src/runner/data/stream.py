"""The micro-batches of an iterable dataset: the same for any number of workers and of ranks.

The shards of the dataset fill micro-batches of their own, which come in turn, from shard 0, 1, ...,
0, 1, ...; a shard that is over is passed over. A worker has some of the shards, always those whose
turn falls to it, and answers with nothing for a shard that is over, so that the turns stay in step.
The state of a shard travels with each of its batches. Every rank reads the whole stream, and makes
batches of its own part of the samples: their state is the same.
"""

import logging
import pickle
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from torch.utils.data import Sampler, default_collate

from runner.config.options import LoaderOptions
from runner.data.data import Dataset, Stream, is_deterministic, num_shards_of
from runner.data.epoch import MicroBatch
from runner.data.shards import Answer, Place, Request, Shards
from runner.data.workers import batches_of, data_loader, end_workers
from runner.errors import DataError
from runner.protocols import check_state_keys

MOST_READERS = 32  # shards read side by side; a dataset of more is asked for larger ones

_log = logging.getLogger(__name__)


class StreamLoader:
    """The micro-batches of an iterable dataset; only reading tells how many there are."""

    num_batches: int | None = None
    lengths = None
    reads_ahead = True

    def __init__(
        self,
        dataset: Stream,
        options: LoaderOptions,
        *,
        seed: int,
        collate: Callable[[list[Any]], Any] | None,
        pin_memory: bool,
        max_batches: int,
        rank: int,
        num_ranks: int,
    ) -> None:
        num_shards = min(num_shards_of(dataset), MOST_READERS)
        self._num_shards = num_shards
        self._max_batches = max_batches
        self._turns = _Turns(num_shards)
        self._shards = Shards(
            dataset,
            num_shards=num_shards,
            batch_size=options.batch_size,
            drop_last=options.drop_last,
            seed=None if is_deterministic(dataset) else seed,
            collate=collate or default_collate,
            rank=rank,
            num_ranks=num_ranks,
        )
        self._loader = None
        num_workers = _num_workers(options.num_workers, num_shards)
        if num_workers or pin_memory:
            self._loader = data_loader(
                self._shards,
                batch_sampler=self._turns,
                collate_fn=_as_it_is,
                num_workers=num_workers,
                pin_memory=pin_memory,
            )

    def epoch(
        self, number: int, start: int = 0, state: dict[str, Any] | None = None
    ) -> "StreamEpoch":
        """Return epoch `number` from the beginning, or from where an epoch gave `state`."""
        assert bool(start) == bool(state), "a stream goes on from its state"
        places, turn = [Place()] * self._num_shards, 0
        if state:
            check_state_keys("data", state, ["turn", "shards"])
            places, turn = [_loaded(place) for place in state["shards"]], state["turn"]
        self._turns.start_at(number, places, turn)
        answers = self._made_here() if self._loader is None else batches_of(self._loader)
        limit = self._max_batches - start if self._max_batches else None
        return StreamEpoch(answers, places, turn, limit=limit, is_new=not state)

    def close(self) -> None:
        """End the workers; the next epoch starts new ones."""
        if self._loader is not None:
            end_workers(self._loader)

    def _made_here(self) -> Iterator[Answer | None]:
        return (self._shards.__getitems__(requests) for requests in self._turns)


class StreamEpoch:
    """An `Epoch` that knows that it is over by holding one micro-batch ahead."""

    def __init__(
        self,
        answers: Iterator[Answer | None],
        places: list[Place],
        turn: int,
        *,
        limit: int | None,
        is_new: bool,
    ) -> None:
        self._answers = answers
        self._places = list(places)  # after the last micro-batch taken, as is the turn
        self._turn = self._next_turn = turn
        self._open = set(range(len(places)))
        self._held: Answer | None = None
        self._error: Exception | None = None
        self._left = limit
        self._is_new = is_new
        self._is_known_over = False

    @property
    def is_over(self) -> bool:
        """Return whether nothing is left, reading one micro-batch ahead.

        Asked after the step on what was taken, it costs that step no time. What goes wrong in it is
        raised when the next micro-batch is taken: until then the last step stands.
        """
        self._is_known_over = self._knows_over()
        return self._is_known_over

    def _knows_over(self) -> bool:
        if self._left == 0:
            return True
        if self._held is None and self._error is None:
            try:
                self._held = self._next_answer()
            except Exception as error:
                self._error = error
        return self._held is None and self._error is None

    def take(self, count: int) -> list[MicroBatch]:
        """Return the next `count` micro-batches; fewer, but one at least, at the end."""
        taken = []
        while len(taken) < count and not self.is_over:
            if self._error is not None:
                raise self._error
            taken.append(self._take_held())
        if self._is_new:
            raise DataError(
                "data: the iterable dataset gave no micro-batch at all: it is empty, "
                "data.drop_last=true leaves no whole one, or its `__iter__` does not begin anew"
            )
        return taken

    def end(self) -> None:
        """Let nothing be left."""
        self._left, self._is_known_over = 0, True

    def state_dict(self) -> dict[str, Any]:
        """Return where every shard stands after the last micro-batch taken; on all ranks alike.

        Nothing is read for it: that the epoch is over is known when `is_over` was asked.
        """
        if self._is_known_over:  # the next epoch begins at the beginning
            return {}
        return {"turn": self._turn, "shards": [_saved(place) for place in self._places]}

    def _take_held(self) -> MicroBatch:
        answer, self._held = self._held, None
        assert answer is not None
        self._turn = self._next_turn
        self._places[self._turn - 1] = answer.place
        self._is_new = False
        if self._left is not None:
            self._left -= 1
        return answer.micro_batch

    def _next_answer(self) -> Answer | None:
        while self._open:
            shard, answer = self._next_turn, next(self._answers)
            self._next_turn = (shard + 1) % len(self._places)
            if answer is None or answer.place.is_over:
                self._open.discard(shard)
            if answer is not None:
                return answer
        return None


class _Turns(Sampler[list[Request]]):
    """Whose turn it is, without end: the workers take them in turn as well."""

    def __init__(self, num_shards: int) -> None:
        self.start_at(0, [Place()] * num_shards, 0)

    def start_at(self, epoch: int, places: list[Place], turn: int) -> None:
        """Let the next iteration begin epoch `epoch` at `places`, with the shard of `turn`."""
        self._epoch, self._places, self._turn = epoch, places, turn

    def __iter__(self) -> Iterator[list[Request]]:
        epoch, places = self._epoch, self._places
        for slot in count():
            shard = (self._turn + slot) % len(places)
            yield [Request(epoch, shard, places[shard] if slot < len(places) else None)]


def check_stream(dataset: Dataset, *, split: str, must_resume: bool) -> None:
    """Raise DataError that names what an iterable dataset lacks to be read, and to be resumed."""
    lacks = [name for name in ("state_dict", "load_state_dict") if not hasattr(dataset, name)]
    if must_resume and lacks:
        raise DataError(
            f"data.{split} is iterable but has no {' and '.join(lacks)}, so a run on it cannot be "
            "resumed exactly: add them, or make it a map-style dataset"
        )
    if lacks and hasattr(dataset, "__next__"):
        raise DataError(
            f"data.{split} is an iterator, which can be read only once: give an object whose "
            "`__iter__` begins anew"
        )
    if num_shards_of(dataset) > 1 and not hasattr(dataset, "shard"):
        raise DataError(
            f"data.{split} has num_shards={num_shards_of(dataset)} but no shard(num_shards, index) "
            "that gives one of them: add it, or leave num_shards out"
        )


def _num_workers(wanted: int, num_shards: int) -> int:
    """Return the largest number of workers, up to `wanted`, that share the shards out evenly."""
    if not wanted:
        return 0
    used = max(number for number in range(1, wanted + 1) if num_shards % number == 0)
    if used < wanted:
        _log.warning(
            "data.num_workers=%d: %d read, since the workers share out the %d shards of the "
            "iterable dataset evenly",
            wanted,
            used,
            num_shards,
        )
    return used


def _saved(place: Place) -> dict[str, Any]:
    state = None if place.state is None else pickle.loads(place.state)
    return {"state": state, "number": place.number, "is_over": place.is_over}


def _loaded(saved: dict[str, Any]) -> Place:
    check_state_keys("a shard of the data", saved, Place._fields)
    state = None if saved["state"] is None else pickle.dumps(saved["state"])
    return Place(state, saved["number"], saved["is_over"])


def _as_it_is(answer: Any) -> Any:
    return answer
