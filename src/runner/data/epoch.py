"""`MicroBatch` and `Epoch`: what a training takes from its data, whatever they are and wherever.

A micro-batch is one of all ranks together, and the same for any number of them: each rank has a
part of its samples, one behind the other.
"""

from typing import Any, NamedTuple, Protocol


class MicroBatch(NamedTuple):
    """What a rank has of one micro-batch."""

    content: Any  # what collate made of the rank's samples
    size: int  # samples over all ranks
    part: slice  # which of them this rank has
    counts: bool = True  # False: a stand-in for a rank that has none of them

    @property
    def num_samples(self) -> int:
        """Return how many samples `content` holds."""
        return self.part.stop - self.part.start


class Epoch(Protocol):
    """The micro-batches of one epoch that are still to come."""

    @property
    def is_over(self) -> bool:
        """Return whether nothing is left."""
        ...

    def take(self, count: int) -> list[MicroBatch]:
        """Return the next `count` micro-batches; fewer, but one at least, at the end."""
        ...

    def end(self) -> None:
        """Let nothing be left."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return what `Loader.epoch` needs, besides the number of batches taken, to go on here."""
        ...


class Share(NamedTuple):
    """Which samples of a micro-batch are a rank's, as in `MicroBatch`."""

    size: int
    part: slice
    counts: bool


def share_of(size: int, *, rank: int, num_ranks: int) -> Share:
    """Return what `rank` has of `size` samples.

    A rank that gets none takes the first one, which does not count there: no rank may be missing
    from a step.
    """
    # Rounded up: rank 0, whose buffers and pictures count, is the last to have none.
    start, stop = -(-rank * size // num_ranks), -(-(rank + 1) * size // num_ranks)
    if start == stop:
        return Share(size, slice(0, 1), counts=False)
    return Share(size, slice(start, stop), counts=True)
