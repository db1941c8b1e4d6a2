"""What a start of a sweep does with each of its runs, judged by where the run stands."""

from enum import StrEnum

from runner.run.status import Status


class Action(StrEnum):
    """What to do with a run."""

    RUN = "run"  # it never began
    RESUME = "resume"  # it is unfinished
    RETRY = "retry"  # it failed in an earlier start
    WAIT = "wait"  # another process is at work on it
    WATCH = "watch"  # its job is on a cluster already
    SKIP = "skip"  # nothing: it is done, or failed and is not to be tried again

    @property
    def starts(self) -> bool:
        """Whether a job is started for it, if need be when another has left it."""
        return self is not Action.SKIP


def decide(status: Status | None, *, retry: str) -> Action:
    """Return what to do with a run of this status; `retry` is sweep.retry: failed, none or all."""
    if status is None or status.state == "queued":
        return Action.RUN
    match status.state:
        case "completed":
            return Action.SKIP
        case "pruned":
            return Action.RETRY if retry == "all" else Action.SKIP
        case "failed":
            return Action.SKIP if retry == "none" else Action.RETRY
        case "running":
            return Action.WAIT
    return Action.RESUME  # preempted, lost, cancelled
