"""One step: forward and backward over its micro-batches, then one optimizer update.

Nothing here waits for the device: values to log stay there until they are asked for.
"""

from collections.abc import Sequence
from typing import Any

import torch

from runner.data.data import Batch
from runner.runtime.device import move
from runner.runtime.seeds import seeded_generator
from runner.tasks.task import StepOutput
from runner.training.averages import Averages
from runner.training.parts import Parts

_AUGMENTATION = 0x617567  # keeps its random numbers apart from those of the samples


class TrainingStep:
    """Callable: one optimizer update over the micro-batches it is given."""

    def __init__(self, parts: Parts, averages: Averages) -> None:
        self._parts = parts
        self._averages = averages
        self._parameters = [p for p in parts.model.parameters() if p.requires_grad]
        self._max_grad_norm = parts.options.trainer.max_grad_norm
        self._seed = parts.options.seed

    def __call__(self, micro_batches: Sequence[Any], *, step: int) -> int:
        """Update the weights once and return the number of samples seen.

        The gradient is that of the mean over the targets of all micro-batches.
        """
        accumulates = len(micro_batches) > 1
        num_samples = num_targets = 0
        for position, raw in enumerate(micro_batches):
            batch = self._prepare(raw, step, position)
            output = self._forward(batch)
            num_samples += len(next(iter(batch.values())))
            num_targets += output.num_targets
            loss = output.loss * output.num_targets if accumulates else output.loss
            self._parts.precision.scaler.scale(loss).backward()
            self._averages.add({"loss": output.loss, **output.values}, weight=output.num_targets)
        if accumulates:
            self._divide_gradients(num_targets)
        self._update()
        return num_samples

    def _prepare(self, raw: Any, step: int, position: int) -> Batch:
        parts = self._parts
        batch = move(parts.task.prepare(raw), parts.device)
        if parts.augment is None:
            return batch
        generator = seeded_generator(_AUGMENTATION, self._seed, step, position)
        return parts.augment(batch, generator)

    def _forward(self, batch: Batch) -> StepOutput:
        with self._parts.precision.autocast():
            return self._parts.task.training_step(self._parts.model, batch)

    def _divide_gradients(self, num_targets: int) -> None:
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        torch._foreach_div_(gradients, num_targets)  # type: ignore[attr-defined]

    def _update(self) -> None:
        optimizer, scaler = self._parts.optimizer, self._parts.precision.scaler
        if self._max_grad_norm is not None:
            scaler.unscale_(optimizer)
            norm = torch.nn.utils.clip_grad_norm_(self._parameters, self._max_grad_norm)
            self._averages.add({"grad_norm": norm}, weight=1)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)
