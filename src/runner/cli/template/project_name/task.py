"""The task: what a batch means, the loss, what is measured."""

from typing import Any

from torch import Tensor, nn

from runner import Supervised


class Spirals(Supervised):
    """Which spiral a point lies on.

    `prepare`, `forward`, `loss_of` and `predictions_of` are there to be changed; what is left out
    is done as for any other pairs of input and target.
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        metrics: dict[str, Any] | tuple[str, ...] | list[str] = ("accuracy",),
    ) -> None:
        super().__init__({"cross_entropy": {"label_smoothing": label_smoothing}}, metrics)

    def forward(self, model: nn.Module, batch: dict[str, Any]) -> Tensor:
        return model(batch["input"])
