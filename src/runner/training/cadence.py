"""Whether something that happens every so often is due now."""

from runner.config.duration import Duration
from runner.training.progress import Progress


def is_due(every: Duration | None, progress: Progress, *, seconds_since_last: float = 0.0) -> bool:
    """Return whether `every` is due at a boundary between two steps; None is never due.

    "evaluations" are due right after an evaluation, "epochs" right after an epoch's last step.
    """
    if every is None or progress.step == 0:
        return False
    match every.unit:
        case "steps":
            return progress.step % every.value == 0
        case "epochs":
            return progress.is_epoch_end and progress.epoch % every.value == 0
        case "evaluations":
            return progress.is_evaluated and progress.evaluations % every.value == 0
        case _:
            return seconds_since_last >= every.seconds


def has_passed(duration: Duration | None, progress: Progress) -> bool:
    """Return whether training has gone on for at least `duration`; None has always passed."""
    if duration is None:
        return True
    match duration.unit:
        case "steps":
            return progress.step >= duration.value
        case "epochs":
            return progress.epoch >= duration.value
        case "evaluations":
            return progress.evaluations >= duration.value
        case _:
            return progress.seconds >= duration.seconds
