"""`Distillation`: a small model learns what a trained one says (Hinton, Vinyals and Dean 2015)."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from runner.data.data import Batch
from runner.errors import ConfigError
from runner.metrics.by_name import Wanted
from runner.runtime.seeds import preserved_random_state
from runner.tasks.classification import DEFAULT_METRICS, Classification
from runner.tasks.supervised import mean_over, num_targets
from runner.tasks.task import StepOutput


class Distillation(Classification):
    """Trains a classifier on the probabilities of `teacher` and on the true classes.

    loss = `alpha` x T^2 x KL(teacher || student) at temperature T + (1 - `alpha`) x cross entropy.
    The teacher, a model or what builds one at the first step, takes the same inputs and returns
    logits (batch, classes). It is not trained, and no part of checkpoints; to read with the student
    it is not needed. Evaluations know the true classes alone.
    """

    def __init__(
        self,
        teacher: nn.Module | Callable[[], nn.Module],
        num_classes: int | None = None,
        class_names: Sequence[str] | None = None,
        temperature: float = 4.0,
        alpha: float = 0.9,
        label_smoothing: float = 0.0,
        metrics: Wanted = DEFAULT_METRICS,
    ) -> None:
        super().__init__(num_classes, class_names, label_smoothing, metrics)
        if temperature <= 0:
            raise ConfigError(f"task.temperature must be > 0, got {temperature}")
        if not 0 <= alpha <= 1:
            raise ConfigError(f"task.alpha is a share, 0 <= alpha <= 1, got {alpha}")
        self._given = teacher
        self._teacher: nn.Module | None = None
        self._temperature = temperature
        self._alpha = alpha

    def training_step(self, model: nn.Module, batch: Batch) -> StepOutput:
        logits = self.forward(model, batch)
        soft, hard = self._soft_loss(logits, batch), self.loss_of(logits, batch)
        loss = self._alpha * soft + (1 - self._alpha) * hard
        return StepOutput(loss, num_targets(batch), {"soft_loss": soft, "hard_loss": hard})

    def _soft_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        teacher = self._loaded().to(logits.device)
        with torch.no_grad():
            wanted: Any = self.forward(teacher, batch)
        if wanted.shape != logits.shape:
            raise ConfigError(
                f"task.teacher gives logits of shape {tuple(wanted.shape)}, the model of "
                f"{tuple(logits.shape)}: they have to know the same classes"
            )
        temperature = self._temperature
        each = functional.kl_div(
            functional.log_softmax(logits.float() / temperature, dim=-1),
            functional.log_softmax(wanted.float() / temperature, dim=-1),
            reduction="none",
            log_target=True,
        ).sum(dim=-1)
        return mean_over(each, batch) * temperature**2

    def _loaded(self) -> nn.Module:
        if self._teacher is None:
            given = self._given
            if not isinstance(given, nn.Module):
                with preserved_random_state():  # first weights are drawn, also after a resume
                    given = given()
            self._teacher = given.eval().requires_grad_(False)
        return self._teacher
