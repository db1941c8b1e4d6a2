"""One step: forward and backward over its micro-batches, then one optimizer update.

Nothing here waits for the device: values to log stay there until they are asked for.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from runner.data.data import Batch
from runner.data.epoch import MicroBatch
from runner.tasks.task import StepOutput, StepTask, no_step_output
from runner.training.averages import Averages
from runner.training.boundary import Boundary
from runner.training.buffers import BufferSync
from runner.training.finite import SkipNonfinite
from runner.training.gradient_norm import norm_for
from runner.training.gradients import gradient_sum
from runner.training.parts import Parts
from runner.training.preparation import Preparation
from runner.training.splitting import Splitting, is_out_of_memory
from runner.training.stage import Stage

_Outcome = tuple[dict[str, Tensor], float]  # values to log, and their weight


class TrainingStep:
    """Callable: one update of the one optimizer over the micro-batches it is given."""

    def __init__(self, parts: Parts, averages: Averages, task: StepTask) -> None:
        trainer = parts.options.trainer
        assert isinstance(parts.optimizer, Optimizer)
        self._parts = parts
        self._task = task
        self._optimizer = parts.optimizer
        self._prepare = Preparation(parts)
        self._averages = averages
        self._parameters = [p for p in parts.model.parameters() if p.requires_grad]
        self._with_gradients = _with_gradients(self._parameters, self._optimizer)
        self._gradients = gradient_sum(parts.model, parts.ranks)
        self._sync_buffers = BufferSync(parts.model, parts.ranks)
        self._boundary = Boundary(parts.model, parts.device)
        self._splits = trainer.on_out_of_memory == "split"
        self.splitting = Splitting(is_possible=not self._gradients.needs_every_rank)
        self._skip: SkipNonfinite | None = None
        if trainer.on_nonfinite == "skip" and not parts.precision.scaler.is_enabled():
            self._skip = SkipNonfinite(self._optimizer, parts.device)
        self._norm_of = norm_for(trainer, is_needed=self._skip is not None)
        # Several ranks cannot go back alone: they need it to begin a step again, or to skip one.
        self._marks = not parts.ranks.are_several or self._splits or self._skip is not None
        self.stage = Stage.WHOLE

    def __call__(self, micro_batches: Sequence[MicroBatch], *, step: int) -> int:
        """Update the weights once; return how many samples went into it, over all ranks.

        The gradient is that of the mean over the targets of all micro-batches on all ranks.
        """
        if self._marks:
            self._boundary.mark()
        self.stage = Stage.COMPUTING
        outcomes = self._gradients_of(micro_batches, step)
        for values, weight in outcomes:
            self._averages.add(values, weight=weight)
        self._sync_buffers()
        self.stage = Stage.UPDATING
        self._update()
        samples = 0
        for micro in micro_batches:
            samples += micro.size
        return samples

    def go_back(self) -> None:
        """After an error while COMPUTING, be at the boundary before the step."""
        self._forget_gradients()
        self._boundary.go_back()
        self.stage = Stage.WHOLE

    def _gradients_of(self, micro_batches: Sequence[MicroBatch], step: int) -> list[_Outcome]:
        """Leave in `.grad` the gradient of the step, and return what to log."""
        if self._splits:
            outcomes = self._backward_in_pieces(micro_batches, step)
        else:
            outcomes = self._backward(micro_batches, step)
        if self._is_weighted(micro_batches):
            num_targets = sum(weight for _, weight in outcomes)
            self._divide_gradients(self._gradients.finish(num_targets))
        return outcomes

    def _backward_in_pieces(self, micro_batches: Sequence[MicroBatch], step: int) -> list[_Outcome]:
        """Do the same in as many pieces as fit; no gradient travels until all ranks are through."""
        while True:
            error, outcomes = None, []
            try:
                outcomes = self._backward(micro_batches, step, travels=False)
            except (RuntimeError, MemoryError) as caught:
                if not is_out_of_memory(caught):
                    raise
                error = caught.with_traceback(None)  # its frames hold the memory that is missing
            size = max(micro.num_samples for micro in micro_batches)
            if not self.splitting.grow(error, size=size, ranks=self._parts.ranks):
                return outcomes
            self.go_back()
            self.stage = Stage.COMPUTING

    def _backward(
        self, micro_batches: Sequence[MicroBatch], step: int, *, travels: bool = True
    ) -> list[_Outcome]:
        is_weighted = self._is_weighted(micro_batches)
        outcomes: list[_Outcome] = []
        last = len(micro_batches) - 1
        for position, micro in enumerate(micro_batches):
            if not micro.counts and not self._gradients.needs_every_rank:
                continue
            batch = self._prepare(micro, step=step, position=position)
            *pieces, last_piece = self.splitting.pieces(batch, micro.num_samples)
            for piece in pieces:
                outcomes += self._backward_of(piece, is_weighted, counts=micro.counts)
            if position == last and travels:
                self._gradients.begin()
            outcomes += self._backward_of(last_piece, is_weighted, counts=micro.counts)
        return outcomes

    def _is_weighted(self, micro_batches: Sequence[MicroBatch]) -> bool:
        """Return whether a loss is one of several, weighted by its targets."""
        return (
            len(micro_batches) > 1 or self._parts.ranks.are_several or self.splitting.num_pieces > 1
        )

    def _backward_of(self, batch: Batch, is_weighted: bool, *, counts: bool) -> list[_Outcome]:
        parts = self._parts
        with parts.precision.autocast():
            output = self._task.training_step(parts.model, batch)
        if not isinstance(output, StepOutput):
            raise no_step_output(self._task, "training_step", output)
        loss = output.loss
        if is_weighted:
            loss = loss * (output.num_targets if counts else 0)
        parts.precision.scaler.scale(loss).backward()
        return [({"loss": output.loss, **output.values}, output.num_targets)] if counts else []

    def _divide_gradients(self, divisor: float) -> None:
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        torch._foreach_div_(gradients, divisor)  # type: ignore[attr-defined]

    def _update(self) -> None:
        optimizer, scaler = self._optimizer, self._parts.precision.scaler
        is_bad = None
        if self._norm_of is not None:
            scaler.unscale_(optimizer)
            norm = self._norm_of(self._parameters)
            self._log_once("grad_norm", norm)
            is_bad = (~norm.isfinite()).float() if self._skip is not None else None
        if self._skip is None or is_bad is None or self._skip.allows(is_bad):
            scaler.step(optimizer)
            scaler.update()
        if is_bad is not None:  # what the forward pass has put into running means goes, too
            self._log_once("skipped_share", is_bad)
            self._boundary.put_back_buffers(is_bad)
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
