"""The events of training, in their order, and what a callback may see.

    on_fit_start
        on_step_end                    after every step: keep it to microseconds
        on_log                         a row went to the journal
        on_evaluation_start
            on_evaluation_batch        without predictions on a rank that has no sample of it
        on_evaluation_end
        on_epoch_end                   after the evaluation that is due there, before the save
        on_checkpoint                  a checkpoint was committed
    on_fit_end                         also after an error or an interruption

Where `data.evaluation` is several datasets, one evaluation measures all: it starts and ends once,
with the split "evaluation", and its batches come with "evaluation.NAME".

A callback watches: it changes neither weights nor the course of training, and could be deleted
without changing the result. `fit.record(split, values)` puts what it has seen into the journal, and
so into every tracker: at most a row for each step, under a split of its own. What must survive a
restart makes it `Stateful`; its state is then part of every checkpoint, under the callback's name.
An exception in a callback ends the run with a save.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import nn

from runner.config.options import TrainerOptions
from runner.data.data import Batch
from runner.run.directory import RunDirectory
from runner.run.journal import Row
from runner.runtime.ranks import ALONE, Ranks
from runner.tasks.task import Predictions, Task
from runner.training.best import Best
from runner.training.progress import Progress


@dataclass(kw_only=True)
class Fit:
    """What callbacks see of a training under way; read only."""

    directory: RunDirectory
    model: nn.Module
    task: Task
    options: TrainerOptions
    progress: Progress
    planned_steps: int | None  # None: bounded by time alone
    ranks: Ranks = ALONE  # what one rank asks of the others all must ask
    tested_step: int | None = None  # the step of the weights that the test sees; None: the last
    best: Best = field(default_factory=lambda: Best("min"))  # of options.best_metric
    # Writes a row of a split of one's own; from an event, not from a thread, and on rank 0 alone.
    record: Callable[[str, Mapping[str, float]], None] = lambda *_: None

    @property
    def is_main(self) -> bool:
        """Return whether this is rank 0, which writes."""
        return self.ranks.is_main


class Callback:
    """Does nothing at every event; subclasses override what they need."""

    def on_fit_start(self, fit: Fit) -> None: ...

    def on_step_end(self, fit: Fit) -> None: ...

    def on_log(self, fit: Fit, row: Row) -> None: ...

    def on_evaluation_start(self, fit: Fit, split: str, num_batches: int) -> None: ...

    def on_evaluation_batch(
        self, fit: Fit, split: str, batch: Batch, predictions: Predictions
    ) -> None: ...

    def on_evaluation_end(self, fit: Fit, split: str, values: dict[str, float]) -> None: ...

    def on_epoch_end(self, fit: Fit, values: Mapping[str, float]) -> None:
        """Told the newest value of all that was logged so far: train.loss, evaluation.accuracy."""

    def on_checkpoint(self, fit: Fit, step: int) -> None: ...

    def on_fit_end(self, fit: Fit, outcome: str) -> None: ...
