"""Evaluate a model on one split."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from runner.data.data import Batch
from runner.data.loader import Loader
from runner.errors import Interrupted
from runner.runtime.device import move
from runner.runtime.precision import Precision
from runner.runtime.seeds import mix, preserved_random_state, seed_everything
from runner.runtime.signals import StopRequests
from runner.tasks.task import Predictions, Task
from runner.training.events import Events
from runner.training.parts import Parts
from runner.training.recorder import Recorder

OnBatch = Callable[[Batch, Predictions], None]


class Evaluator:
    """Evaluates splits in the course of a training, and gives up when asked to stop."""

    def __init__(
        self, parts: Parts, *, recorder: Recorder, events: Events, stop: StopRequests
    ) -> None:
        self._parts = parts
        self._recorder = recorder
        self._events = events
        self._stop = stop

    def values_of(self, split: str, *, step: int) -> dict[str, float]:
        """Evaluate `split` and return its metrics; raise Interrupted if asked to stop."""
        parts = self._parts
        loader = parts.loaders[split]
        self._events.tell("on_evaluation_start", split, len(loader))

        def on_batch(batch: Batch, predictions: Predictions) -> None:
            self._events.tell("on_evaluation_batch", split, batch, predictions)
            if self._stop.received is not None:
                raise Interrupted(self._stop.received)

        values = evaluate(
            parts.model,
            parts.task,
            loader,
            device=parts.device,
            precision=parts.precision,
            seed=mix(parts.options.seed, step) >> 1,
            on_batch=on_batch,
        )
        self._recorder.record({split: values})
        self._events.tell("on_evaluation_end", split, values)
        return values


def evaluate(
    model: nn.Module,
    task: Task,
    loader: Loader,
    *,
    device: torch.device,
    precision: Precision,
    seed: int,
    on_batch: OnBatch,
) -> dict[str, float]:
    """Return the value of each of the task's metrics over all batches of `loader`.

    Random numbers drawn inside (a sampling decoder, say) depend on `seed` alone, and training goes
    on with those it would have drawn without an evaluation. `on_batch` may raise to give it up.
    """
    metrics = task.metrics()
    with preserved_random_state(), _evaluating(model), torch.inference_mode():
        seed_everything(seed)
        for raw in loader.batches():
            batch = move(task.prepare(raw), device)
            with precision.autocast():
                predictions = task.evaluation_step(model, batch, metrics)
            on_batch(batch, predictions)
    return {name: metric.compute() for name, metric in metrics.items()}


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, was_training in modes:
            module.training = was_training
