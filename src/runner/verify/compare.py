"""Compare the traces of two runs: everything that was observed, in the order of time."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from runner.verify.trace import Moment, Trace

FIRST_WEIGHTS = "first weights"
SAMPLES = "samples"
BATCHES = "augmented batches"
LOSSES = "losses"
UPDATES = "weights after the update"
WEIGHTS = "weights after the callbacks"
GENERATORS = "random generators"
RESTORED = "what was restored"
STEPS = "steps"
JOURNAL = "journal rows"
CHECKPOINT = "checkpoint: "  # and the name of its part

_AFTER_ALL_STEPS = 1 << 62


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One thing seen in both runs; None in the one that lacks it."""

    kind: str
    step: int
    name: str  # which of its kind: a parameter, a key, "micro-batch 1"
    first: object
    second: object

    @property
    def differs(self) -> bool:
        return self.first != self.second

    @property
    def is_at_the_end(self) -> bool:
        """Return whether it belongs to no step: journal and last checkpoint."""
        return self.step == _AFTER_ALL_STEPS


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How much was compared, how much of it differs, and the first that does."""

    compared: Mapping[str, int]
    differing: Mapping[str, int]
    first: Observation | None
    resumed_at: int | None = None  # the step from which the second run went on


def compare(first: Sequence[Trace], second: Sequence[Trace]) -> Comparison:
    """Compare two runs, rank by rank."""
    compared: Counter[str] = Counter()
    differing: Counter[str] = Counter()
    earliest: Observation | None = None
    for rank, (one, other) in enumerate(zip_longest(first, second)):
        seen = [_lacks_rank()] if one is None or other is None else _observe(one, other)
        for observation in _of_rank(seen, rank if len(first) > 1 else None):
            compared[observation.kind] += 1
            if not observation.differs:
                continue
            differing[observation.kind] += 1
            if earliest is None or observation.step < earliest.step:
                earliest = observation
    starts = second[0].starts if second else []
    resumed_at = starts[-1].step if len(starts) > 1 else None
    return Comparison(compared=compared, differing=differing, first=earliest, resumed_at=resumed_at)


def _observe(one: Trace, other: Trace) -> Iterator[Observation]:
    """Yield all observations in the order of time."""
    yield from _entries(FIRST_WEIGHTS, 0, one.starts[0].weights, other.starts[0].weights)
    yield from _entries(GENERATORS, 0, one.starts[0].generators, other.starts[0].generators)
    restored = {start.step: start for start in other.starts[1:]}
    if 0 in restored:
        yield from _restored(one.starts[0], restored[0])
    for step in sorted(one.steps.keys() | other.steps.keys()):
        done, done_too = one.steps.get(step), other.steps.get(step)
        yield Observation(
            kind=STEPS, step=step, name="", first=done is not None, second=done_too is not None
        )
        if done is not None and done_too is not None:
            yield from _step(done, done_too)
        if done is not None and step in restored:
            yield from _restored(done, restored[step])
    for name in one.journal.keys() | other.journal.keys():
        rows = one.journal.get(name, {}), other.journal.get(name, {})
        yield from _entries(JOURNAL, _AFTER_ALL_STEPS, *_under(name, *rows))
    for part in dict.fromkeys([*one.state, *other.state]):
        leaves = one.state.get(part, {}), other.state.get(part, {})
        yield from _entries(f"{CHECKPOINT}{part}", _AFTER_ALL_STEPS, *leaves)


def _step(one: Moment, other: Moment) -> Iterator[Observation]:
    pairs = list(zip_longest(one.batches, other.batches, fillvalue={}))
    for kind, key in ((SAMPLES, "samples"), (BATCHES, "batch"), (LOSSES, "loss")):
        for number, (batch, batch_too) in enumerate(pairs):
            yield Observation(
                kind=kind,
                step=one.step,
                name=f"micro-batch {number + 1}" if len(pairs) > 1 else "",
                first=batch.get(key),
                second=batch_too.get(key),
            )
    yield from _entries(UPDATES, one.step, one.updated, other.updated)
    yield from _entries(WEIGHTS, one.step, one.weights, other.weights)
    yield from _entries(GENERATORS, one.step, one.generators, other.generators)


def _restored(before: Moment, start: Moment) -> Iterator[Observation]:
    """Compare what the second job began with to what the step before had left."""
    yield from _entries(RESTORED, before.step, before.weights, start.weights)
    yield from _entries(RESTORED, before.step, before.generators, start.generators)


def _entries(
    kind: str, step: int, one: Mapping[str, object], other: Mapping[str, object]
) -> Iterator[Observation]:
    for name in dict.fromkeys([*one, *other]):
        yield Observation(
            kind=kind, step=step, name=name, first=one.get(name), second=other.get(name)
        )


def _under(name: str, *rows: Mapping[str, float]) -> tuple[dict[str, object], ...]:
    # As text: a value that is no number would differ from itself.
    return tuple({f"{key} in the {name}": repr(row[key]) for key in row} for row in rows)


def _of_rank(seen: Iterable[Observation], rank: int | None) -> Iterator[Observation]:
    for observation in seen:
        if rank is None or observation.is_at_the_end:
            yield observation
        else:
            name = ", ".join(filter(None, (f"rank {rank}", observation.name)))
            yield Observation(**{**vars(observation), "name": name})


def _lacks_rank() -> Observation:
    return Observation(kind=STEPS, step=0, name="", first=True, second=False)
