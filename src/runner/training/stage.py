"""`Stage` and `Step`: what the loop knows of one step."""

from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from runner.data.epoch import MicroBatch
from runner.training.splitting import Splitting


class Stage(Enum):
    """How far a step is: what an error in the middle of it leaves behind."""

    WHOLE = "at a boundary between two steps"
    COMPUTING = "weights and optimizer are those of the last boundary"
    UPDATING = "the state is that of no boundary"


class Step(Protocol):
    """Callable: what a training does between two boundaries.

    It leaves `stage` at UPDATING: the step is whole when what belongs to it (schedule, counters) is
    done too, and the loop says so.
    """

    stage: Stage
    splitting: Splitting

    def __call__(self, micro_batches: Sequence[MicroBatch], *, step: int) -> int:
        """Update the weights; return how many samples went into it, over all ranks."""
        ...

    def go_back(self) -> None:
        """After an error while COMPUTING, be at the boundary before the step."""
        ...
