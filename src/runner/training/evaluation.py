"""Evaluate a model on one split."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from runner.data.data import Batch, in_split
from runner.data.loader import Loader
from runner.runtime.device import move
from runner.runtime.precision import Precision
from runner.runtime.ranks import ALONE, Ranks
from runner.runtime.seeds import mix, preserved_random_state, seed_everything
from runner.tasks.task import NOTHING, Predictions, Task, evaluates_whole_splits
from runner.training.agreement import Agreement
from runner.training.events import Events
from runner.training.parts import Parts
from runner.training.recorder import Recorder

# No predictions: of a task that evaluates whole splits.
OnBatch = Callable[[Batch, Predictions | None], None]


class Evaluator:
    """Evaluates splits in the course of a training, and gives up when asked to stop."""

    def __init__(
        self,
        parts: Parts,
        *,
        recorder: Recorder,
        events: Events,
        agreement: Agreement,
        beat: Callable[[], None],
    ) -> None:
        self._parts = parts
        self._recorder = recorder
        self._events = events
        self._agreement = agreement
        self._beat = beat

    def values_of(self, split: str, model: nn.Module, *, step: int) -> dict[str, float]:
        """Evaluate `model` on `split`; return its metrics, or raise Interrupted if asked to.

        Of a split of several datasets all are measured, their metrics called "NAME.loss".
        """
        loaders = self._parts.loaders
        datasets = in_split(loaders, split)
        lengths = [loaders[name].num_batches for name in datasets.values()]
        total = 0 if None in lengths else sum(length or 0 for length in lengths)
        self._events.tell("on_evaluation_start", split, total)
        values: dict[str, float] = {}
        for own, name in datasets.items():
            prefix = f"{own}." if own else ""
            found = self._measured(name, model, step=step)
            values |= {f"{prefix}{metric}": value for metric, value in found.items()}
        self._recorder.record({split: values})
        self._events.tell("on_evaluation_end", split, values)
        return values

    def _measured(self, name: str, model: nn.Module, *, step: int) -> dict[str, float]:
        """Return the metrics on one dataset, which the loader `name` reads."""
        parts = self._parts

        def on_batch(batch: Batch, predictions: Predictions | None) -> None:
            self._beat()
            if predictions is not None:
                self._events.tell("on_evaluation_batch", name, batch, predictions)
            self._agreement.look()
            self._agreement.obey()

        return evaluate(
            model,
            parts.task,
            parts.loaders[name],
            device=parts.device,
            precision=parts.precision,
            seed=mix(parts.options.seed, step) >> 1,
            on_batch=on_batch,
            ranks=parts.ranks,
        )


def evaluate(
    model: nn.Module,
    task: Task,
    loader: Loader,
    *,
    device: torch.device,
    precision: Precision,
    seed: int,
    on_batch: OnBatch,
    ranks: Ranks = ALONE,
) -> dict[str, float]:
    """Return the value of each of the task's metrics over all batches of `loader`, on all ranks.

    Random numbers drawn inside (a sampling decoder, say) depend on `seed` alone, and training goes
    on with those it would have drawn without an evaluation. `on_batch` may raise to give it up.
    """
    metrics = task.metrics()
    with preserved_random_state(), preserved_modes(model), torch.inference_mode():
        model.eval()
        seed_everything(mix(seed, ranks.rank) >> 1 if ranks.rank else seed)
        batches = _batches(loader, task, device)
        if evaluates_whole_splits(task):
            with precision.autocast():
                task.evaluation_epoch(model, _counted(batches, on_batch), metrics)
        else:
            for batch, counts in batches:
                with precision.autocast():
                    # A stand-in keeps this rank in step with the others, and counts nowhere.
                    counted = metrics if counts else task.metrics()
                    predictions = task.evaluation_step(model, batch, counted)
                on_batch(batch, predictions if counts else NOTHING)
    for metric in metrics.values():
        if ranks.are_several:
            metric.load(ranks.sum(metric.state()))
    return {name: metric.compute() for name, metric in metrics.items()}


def _batches(loader: Loader, task: Task, device: torch.device) -> Iterator[tuple[Batch, bool]]:
    """Yield each batch of `loader` on `device`, and whether it counts on this rank."""
    epoch = loader.epoch(0)
    while not epoch.is_over:
        (micro,) = epoch.take(1)
        yield move(task.prepare(micro.content), device), micro.counts


def _counted(batches: Iterator[tuple[Batch, bool]], on_batch: OnBatch) -> Iterator[Batch]:
    """Yield the batches that count, and tell of all."""
    for batch, counts in batches:
        on_batch(batch, None)
        if counts:
            yield batch


@contextmanager
def preserved_modes(model: nn.Module) -> Iterator[None]:
    """Let each module of `model` be in training or not at the end as it was before."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, was_training in modes:
            module.training = was_training
