"""How long epochs are, which a curriculum lets change from stage to stage."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Lengths:
    """The micro-batches of each epoch: `rest` of them, after the epochs that `first` tells of.

    `first` holds (number of epochs, micro-batches of each), in their order. A step takes
    `accumulation` micro-batches, and what is left at the end of an epoch.
    """

    rest: int
    first: tuple[tuple[int, int], ...] = ()

    @property
    def shortest(self) -> int:
        """Return the micro-batches of the shortest epoch there is."""
        return min([self.rest, *(length for _, length in self.first)])

    def of(self, epoch: int) -> int:
        """Return the micro-batches of `epoch`, the first being 0."""
        for count, length in self.first:
            if epoch < count:
                return length
            epoch -= count
        return self.rest

    def steps(self, epochs: int, accumulation: int) -> int:
        """Return the steps of the first `epochs` epochs."""
        steps = 0
        for count, length in self.first:
            steps += min(epochs, count) * math.ceil(length / accumulation)
            epochs = max(0, epochs - count)
        return steps + epochs * math.ceil(self.rest / accumulation)

    def epochs_in(self, steps: int, accumulation: int) -> tuple[int, int]:
        """Return how many whole epochs `steps` steps make, and the steps behind them."""
        epochs = 0
        for count, length in self.first:
            whole = min(count, steps // math.ceil(length / accumulation))
            epochs, steps = epochs + whole, steps - whole * math.ceil(length / accumulation)
            if whole < count:
                return epochs, steps
        whole, steps = divmod(steps, math.ceil(self.rest / accumulation))
        return epochs + whole, steps
