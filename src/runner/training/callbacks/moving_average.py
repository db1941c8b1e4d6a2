"""`MovingAverage`: what a noisy value is about, recent steps counting most."""

import math


class MovingAverage:
    """An exponential mean, corrected for its beginning (as Adam's: Kingma and Ba, 2015).

    A step keeps `smoothing` of the weight of those before it; a value may stand for several steps.
    """

    def __init__(self, smoothing: float) -> None:
        self._smoothing = smoothing
        self._sum = 0.0
        self._weight = 0.0

    def update(self, value: float, *, steps: int = 1) -> float | None:
        """Take the mean of `steps` steps and return the average; no numbers do not count."""
        if math.isfinite(value):
            kept = self._smoothing**steps
            self._sum = kept * self._sum + (1 - kept) * value
            self._weight = kept * self._weight + (1 - kept)
        return self._sum / self._weight if self._weight else None
