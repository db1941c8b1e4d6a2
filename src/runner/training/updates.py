"""`Updates`: what a task that does its own updates is handed, one callable for each optimizer."""

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.optim import Optimizer

from runner.data.epoch import MicroBatch
from runner.errors import RunError, did_you_mean
from runner.optim.optimizers import SINGLE, by_name
from runner.tasks.task import Update
from runner.training.averages import Averages
from runner.training.gradient_norm import norm_for
from runner.training.gradients import GradientSum, OwnGradients
from runner.training.parts import Parts


class Updates(Mapping[str, Update]):
    """The update of each optimizer by name; `before` is called when weights are about to change."""

    def __init__(self, parts: Parts, averages: Averages, *, before: Callable[[], None]) -> None:
        self._updates = {
            name: OptimizerUpdate(name, optimizer, parts, averages, before=before)
            for name, optimizer in by_name(parts.optimizer).items()
        }

    def __getitem__(self, name: str) -> Update:
        if name not in self._updates:
            hint = did_you_mean(name, self._updates)
            raise RunError(
                f"update['{name}']: there is no optimizer of that name{hint}; there are "
                f"{', '.join(self._updates)}"
            )
        return self._updates[name]

    def __contains__(self, name: object) -> bool:
        return name in self._updates

    def __iter__(self) -> Iterator[str]:
        return iter(self._updates)

    def __len__(self) -> int:
        return len(self._updates)

    def begin(self, micro: MicroBatch) -> None:
        """Let what follows be about `micro`: a loss counts as much as it has samples here."""
        for update in self._updates.values():
            update.num_samples, update.counts = micro.num_samples, micro.counts

    def forget_gradients(self) -> None:
        """Leave no gradient behind."""
        for update in self._updates.values():
            update.forget_gradients()


class OptimizerUpdate:
    """Callable: one update of the parameters of `optimizer`.

    Backward goes to these parameters alone: the rest of the model gets no gradient, and costs none.
    """

    def __init__(
        self,
        name: str,
        optimizer: Optimizer,
        parts: Parts,
        averages: Averages,
        *,
        before: Callable[[], None],
    ) -> None:
        self._name = name
        self._optimizer = optimizer
        self._parameters = _parameters_of(optimizer)
        self._precision = parts.precision
        self._ranks = parts.ranks
        self._gradients = (
            GradientSum(self._parameters, parts.ranks)
            if parts.ranks.are_several
            else OwnGradients()
        )
        self._norm_of = norm_for(parts.options.trainer)
        self._norm_name = "grad_norm" if name == SINGLE else f"grad_norm.{name}"
        self._averages = averages
        self._before = before
        self.num_samples = 0
        self.counts = True

    def __call__(self, loss: Tensor, num_targets: float | None = None) -> Tensor:
        with self._precision.update():
            mean = self._backward(loss, self.num_samples if num_targets is None else num_targets)
            self._before()
            self._step()
        self.forget_gradients()
        return mean

    def forget_gradients(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None

    def _backward(self, loss: Tensor, num_targets: float) -> Tensor:
        """Leave in `.grad` the gradient of the mean over the targets of all ranks; return that."""
        scaler, mean = self._precision.scaler, loss.detach()
        trained = [p for p in self._parameters if p.requires_grad]  # a task may freeze some
        if not trained:
            raise RunError(f"update['{self._name}']: all parameters of that optimizer are frozen")
        if not self._ranks.are_several:
            scaler.scale(loss).backward(inputs=trained)
        else:
            weight = num_targets if self.counts else 0
            self._gradients.begin()
            scaler.scale(loss * weight).backward(inputs=trained)
            divisor = self._gradients.finish(weight)
            gradients = [p.grad for p in self._parameters if p.grad is not None]
            torch._foreach_div_(gradients, divisor)  # type: ignore[attr-defined]
            mean = mean.float() * (weight / divisor)
            dist.all_reduce(mean, group=self._ranks.device_group)
        if all(parameter.grad is None for parameter in self._parameters):
            raise RunError(
                f"update['{self._name}'] was given a loss that depends on none of the parameters "
                f"of that optimizer: compute it from what they give, not detached"
            )
        return mean

    def _step(self) -> None:
        optimizer, scaler = self._optimizer, self._precision.scaler
        if self._norm_of is not None:
            scaler.unscale_(optimizer)
            norm = self._norm_of(self._parameters)
            if self._ranks.is_main:  # the same on all ranks
                self._averages.add({self._norm_name: norm}, weight=1)
        scaler.step(optimizer)
        scaler.update()


def _parameters_of(optimizer: Optimizer) -> list[nn.Parameter]:
    return [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
