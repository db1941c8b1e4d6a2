"""One step: forward and backward over its micro-batches, then one optimizer update.

Nothing here waits for the device: values to log stay there until they are asked for.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from runner.data.data import Batch
from runner.data.draws import Draws
from runner.data.epoch import MicroBatch
from runner.runtime.device import move
from runner.runtime.seeds import seeded_generator
from runner.runtime.sharding import clip_gradients
from runner.training.averages import Averages
from runner.training.boundary import Boundary
from runner.training.buffers import BufferSync
from runner.training.finite import SkipNonfinite
from runner.training.gradients import gradient_sum
from runner.training.parts import Parts
from runner.training.splitting import Splitting, is_out_of_memory

_AUGMENTATION = 0x617567  # keeps its random numbers apart from those of the samples

_Outcome = tuple[dict[str, Tensor], int]  # values to log, and their weight


class TrainingStep:
    """Callable: one optimizer update over the micro-batches it is given.

    While it `is_running`, an error leaves it half-way; while it `is_torn`, within the update, the
    weights are those of no step.
    """

    def __init__(self, parts: Parts, averages: Averages) -> None:
        trainer = parts.options.trainer
        self._parts = parts
        self._averages = averages
        self._parameters = [p for p in parts.model.parameters() if p.requires_grad]
        self._with_gradients = _with_gradients(self._parameters, parts.optimizer)
        self._gradients = gradient_sum(parts.model, parts.ranks)
        self._sync_buffers = BufferSync(parts.model, parts.ranks)
        self._boundary = Boundary(parts.model, parts.device)
        self._max_grad_norm = trainer.max_grad_norm
        self._seed = parts.options.seed
        self._splits = trainer.on_out_of_memory == "split"
        self.splitting = Splitting()
        self._skip: SkipNonfinite | None = None
        if trainer.on_nonfinite == "skip" and not parts.precision.scaler.is_enabled():
            self._skip = SkipNonfinite(parts.optimizer, parts.device)
        self.is_running = self.is_torn = False

    def __call__(self, micro_batches: Sequence[MicroBatch], *, step: int) -> None:
        """Update the weights once.

        The gradient is that of the mean over the targets of all micro-batches on all ranks.
        """
        self._boundary.mark()
        self.is_running = True
        outcomes = self._gradients_of(micro_batches, step)
        for values, weight in outcomes:
            self._averages.add(values, weight=weight)
        self._sync_buffers()
        self.is_torn = True
        self._update()
        self.is_running = self.is_torn = False

    def go_back(self) -> None:
        """After an error in the middle of a step, be at the boundary before it."""
        self._forget_gradients()
        self._boundary.go_back()

    def _gradients_of(self, micro_batches: Sequence[MicroBatch], step: int) -> list[_Outcome]:
        if not self._splits:
            return self._backward(micro_batches, step)
        # Until all ranks have come through, no gradient travels: another attempt may follow.
        while True:
            error, outcomes = None, []
            try:
                outcomes = self._backward(micro_batches, step, travels=False)
            except (RuntimeError, MemoryError) as caught:
                if not is_out_of_memory(caught):
                    raise
                error = caught.with_traceback(None)  # its frames hold the memory that is missing
            size = max(micro.num_samples for micro in micro_batches)
            if not self.splitting.double(error, size=size, ranks=self._parts.ranks):
                return outcomes
            self.go_back()

    def _backward(
        self, micro_batches: Sequence[MicroBatch], step: int, *, travels: bool = True
    ) -> list[_Outcome]:
        """Leave in `.grad` the gradient of the step, and return what to log."""
        is_weighted = (
            len(micro_batches) > 1 or self._parts.ranks.are_several or self.splitting.num_pieces > 1
        )
        outcomes: list[_Outcome] = []
        last = len(micro_batches) - 1
        for position, micro in enumerate(micro_batches):
            if not micro.counts and not self._gradients.needs_every_rank:
                continue
            if position == last and travels:
                self._gradients.begin()
            batch = self._prepare(micro, step, position)
            for piece in self.splitting.pieces(batch, micro.num_samples):
                outcomes += self._backward_of(piece, is_weighted, counts=micro.counts)
        if is_weighted:
            num_targets = sum(weight for _, weight in outcomes)
            self._divide_gradients(self._gradients.finish(num_targets))
        return outcomes

    def _prepare(self, micro: MicroBatch, step: int, position: int) -> Batch:
        parts = self._parts
        batch = move(parts.task.prepare(micro.content), parts.device)
        if parts.augment is None:
            return batch
        generator = seeded_generator(_AUGMENTATION, self._seed, step, position)
        return parts.augment(batch, Draws(generator, size=micro.size, part=micro.part))

    def _backward_of(self, batch: Batch, is_weighted: bool, *, counts: bool) -> list[_Outcome]:
        parts = self._parts
        with parts.precision.autocast():
            output = parts.task.training_step(parts.model, batch)
        loss = output.loss
        if is_weighted:
            loss = loss * (output.num_targets if counts else 0)
        parts.precision.scaler.scale(loss).backward()
        return [({"loss": output.loss, **output.values}, output.num_targets)] if counts else []

    def _divide_gradients(self, divisor: float) -> None:
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        torch._foreach_div_(gradients, divisor)  # type: ignore[attr-defined]

    def _update(self) -> None:
        optimizer, scaler = self._parts.optimizer, self._parts.precision.scaler
        if self._max_grad_norm is not None or self._skip is not None:
            scaler.unscale_(optimizer)
            largest = math.inf if self._max_grad_norm is None else self._max_grad_norm
            norm = clip_gradients(self._parameters, largest)
            self._log_once("grad_norm", norm)
            if self._skip is not None:
                is_bad = (~norm.isfinite()).float()
                self._log_once("skipped_share", is_bad)
                if not self._skip.allows(is_bad):
                    return self._forget_gradients()
        scaler.step(optimizer)
        scaler.update()
        self._forget_gradients()
        self._parts.average.update()

    def _forget_gradients(self) -> None:
        for parameter in self._with_gradients:  # the optimizer's own zero_grad takes 5 us more
            parameter.grad = None

    def _log_once(self, name: str, value: Tensor) -> None:
        """Log a value that is the same on all ranks, for one of them."""
        if self._parts.ranks.is_main:
            self._averages.add({name: value}, weight=1)


def _with_gradients(parameters: list[nn.Parameter], optimizer: Optimizer) -> list[Tensor]:
    """Return what backward may leave a gradient in: parameters of the model and of the optimizer.

    A task may have some of its own, and an optimizer may leave some of the model out.
    """
    groups = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    return list(dict.fromkeys([*parameters, *groups]))
