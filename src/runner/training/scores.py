"""The scores of a run: which values count, which is the best, and what follows from them.

They decide what is worth saving, and, with the other limits, when training is over.
"""

from runner.config.options import Options
from runner.errors import ConfigError, did_you_mean
from runner.training.best import Best, is_worth_saving
from runner.training.limits import Limits
from runner.training.progress import Progress
from runner.training.pruning import Pruning


class Scores:
    """Picks `trainer.best_metric` out of what was measured, and hands it to `best`."""

    def __init__(self, options: Options, progress: Progress, *, pruning: Pruning) -> None:
        trainer, checkpoint = options.trainer, options.checkpoint
        self._name = trainer.best_metric
        self._split, self._metric = trainer.best_metric.split(".", 1)
        self._above, self._below = checkpoint.best_above, checkpoint.best_below
        self._limits = Limits(trainer)
        self._progress = progress
        self._pruning = pruning
        self.best = Best(
            trainer.best_mode,
            min_improvement=trainer.min_improvement,
            keep=checkpoint.keep_best,
        )
        self.evaluation: dict[str, float] = {}  # the values of the last one
        self.is_pruned = False

    def end(self) -> str | None:
        """Return why training is over, or None if it is not."""
        if self.is_pruned:
            return "pruned, it falls behind other runs"
        return self._limits.reached(self._progress, self.best)

    def take(self, split: str, values: dict[str, float]) -> None:
        """Take the values of a split; a best one asks for a checkpoint of its own."""
        if split == self._split and self._are_worth_saving(values):
            self._progress.wants_save = True

    def take_evaluation(self, values: dict[str, float]) -> float | None:
        """Take the values of an evaluation at this step, count it, and return its score, if any."""
        self._progress.evaluations += 1
        self._progress.evaluated_step = self._progress.step
        self.evaluation = values
        self.take("evaluation", values)
        return values.get(self._metric)

    def maybe_prune(self, score: float | None) -> None:
        """Ask, if there is a score, whether training is to end here; all ranks call this."""
        if score is not None:
            is_last = self.end() is not None
            self.is_pruned = self._pruning.is_due(self._progress, score, is_last=is_last)

    def _are_worth_saving(self, values: dict[str, float]) -> bool:
        value = values.get(self._metric)
        if value is None:
            known = [f"{self._split}.{name}" for name in values]
            raise ConfigError(
                f"trainer.best_metric={self._name} is not measured: there are "
                f"{', '.join(known)}{did_you_mean(self._metric, values)}"
            )
        counts = self._limits.counts_for_patience(self._progress)
        is_best = self.best.update(value, step=self._progress.step, counts=counts)
        return is_best and is_worth_saving(value, above=self._above, below=self._below)
