"""`Regression`: numbers for each sample."""

from collections.abc import Mapping
from typing import Any

from runner.metrics.by_name import Wanted
from runner.tasks.losses import LossFunction
from runner.tasks.supervised import Supervised

DEFAULT_METRICS = ("mae", "r2")


class Regression(Supervised):
    """Learns numbers: the squared error unless another `loss` is named.

    The model returns as many numbers a sample as the target has, (batch,) or (batch, numbers).
    """

    def __init__(
        self,
        loss: str | Mapping[str, Any] | LossFunction = "mse",
        metrics: Wanted = DEFAULT_METRICS,
    ) -> None:
        super().__init__(loss, metrics)
