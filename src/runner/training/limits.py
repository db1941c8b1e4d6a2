"""When training is over."""

from runner.config.duration import Duration, parse
from runner.config.options import TrainerOptions
from runner.training.best import Best
from runner.training.cadence import has_passed
from runner.training.progress import Progress


class Limits:
    """The ends of a training: steps, epochs, time, a score, and no better one for a while."""

    def __init__(self, options: TrainerOptions) -> None:
        self._ends = [
            Duration(value, unit)
            for value, unit in ((options.max_steps, "steps"), (options.max_epochs, "epochs"))
            if value is not None
        ]
        if options.max_duration is not None:
            self._ends.append(parse(options.max_duration))
        self._patience = options.patience
        self._target, self._sign = options.target_score, 1 if options.best_mode == "min" else -1
        self._warmup = None if options.patience_warmup is None else parse(options.patience_warmup)

    def reached(self, progress: Progress, best: Best) -> str | None:
        """Return why training is over, or None if it is not."""
        for end in self._ends:
            if has_passed(end, progress):
                return f"{end} done"
        if self._patience is not None and best.evaluations_since >= self._patience:
            return f"no better score in {self._patience} evaluations"
        if self._target is not None and self._has_reached(self._target, best.value):
            return f"the score has reached {self._target:g}"
        return None

    def counts_for_patience(self, progress: Progress) -> bool:
        """Return whether the warm-up of early stopping is over."""
        return has_passed(self._warmup, progress)

    def _has_reached(self, target: float, value: float | None) -> bool:
        return value is not None and self._sign * (value - target) <= 0
