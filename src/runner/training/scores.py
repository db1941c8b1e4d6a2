"""Judge the scores of a run: which values count, whether they are the best, and worth saving."""

from runner.config.options import CheckpointOptions, TrainerOptions
from runner.errors import ConfigError, did_you_mean
from runner.training.best import Best, is_worth_saving
from runner.training.limits import Limits
from runner.training.progress import Progress


class Scores:
    """Picks `trainer.best_metric` out of what was measured, and hands it to `best`."""

    def __init__(
        self,
        trainer: TrainerOptions,
        checkpoint: CheckpointOptions,
        *,
        best: Best,
        limits: Limits,
        progress: Progress,
    ) -> None:
        self._name = trainer.best_metric
        self._split, self._metric = trainer.best_metric.split(".", 1)
        self._above, self._below = checkpoint.best_above, checkpoint.best_below
        self._best = best
        self._limits = limits
        self._progress = progress

    def are_worth_saving(self, split: str, values: dict[str, float]) -> bool:
        """Take the values of a split; return whether they deserve a checkpoint of their own."""
        if split != self._split:
            return False
        value = self.score_in(values)
        if value is None:
            known = [f"{split}.{name}" for name in values]
            raise ConfigError(
                f"trainer.best_metric={self._name} is not measured: there are "
                f"{', '.join(known)}{did_you_mean(self._metric, values)}"
            )
        counts = self._limits.counts_for_patience(self._progress)
        is_best = self._best.update(value, step=self._progress.step, counts=counts)
        return is_best and is_worth_saving(value, above=self._above, below=self._below)

    def score_in(self, values: dict[str, float]) -> float | None:
        """Return the value of the metric, if it is there."""
        return values.get(self._metric)
