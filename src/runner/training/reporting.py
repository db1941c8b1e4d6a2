"""Everyone who hears of a training: the journal, the callbacks, and what they are handed."""

from runner.optim.optimizers import by_name
from runner.run.directory import RunDirectory
from runner.run.journal import Journal, Row
from runner.training.averages import Averages
from runner.training.best import Best
from runner.training.callback import Fit
from runner.training.events import Events
from runner.training.newest import NewestValues
from runner.training.parts import Parts
from runner.training.progress import Progress
from runner.training.recorder import Recorder
from runner.training.speed import Speedometer
from runner.training.window import Window


class Reporting:
    """Makes those who report, and lets what goes into the journal reach the callbacks too."""

    def __init__(
        self,
        parts: Parts,
        *,
        directory: RunDirectory,
        journal: Journal,
        progress: Progress,
        averages: Averages,
        speed: Speedometer,
        best: Best,
    ) -> None:
        trainer = parts.options.trainer
        self.recorder = Recorder(journal, progress, self._on_row)
        self.fit = Fit(
            directory=directory,
            model=parts.model,
            task=parts.task,
            options=trainer,
            progress=progress,
            planned_steps=parts.planned_steps,
            ranks=parts.ranks,
            best=best,
            record=self.recorder.record_watched,
        )
        self.events = Events(parts.callbacks, self.fit)
        self.newest = NewestValues(is_wanted=self.events.has_listeners("on_epoch_end"))
        self.window = Window(
            averages,
            speed,
            by_name(parts.optimizer),
            self.recorder,
            every_steps=trainer.log_every_steps,
        )

    def _on_row(self, row: Row) -> None:
        self.newest.take(row)
        self.events.tell("on_log", row)
