"""`Metric`: what an evaluation adds up, in a form whose sum over ranks is exact."""

from typing import Any, Protocol

from torch import Tensor


class Metric(Protocol):
    """A figure over a whole split.

    `state()` is a float64 tensor of sums: adding the states of two ranks gives the state of one
    process that had seen both parts, so the value over ranks equals that of one process.

    `larger_is_better = True` on the class says so of scores such as accuracy.
    """

    def update(self, *args: Any, **kwargs: Any) -> None: ...

    def state(self) -> Tensor: ...

    def load(self, state: Tensor) -> None: ...

    def compute(self) -> float: ...
