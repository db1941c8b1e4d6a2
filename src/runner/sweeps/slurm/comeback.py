"""Let a job of Slurm come back to go on with its run, unless its starts get nowhere."""

import sys
from pathlib import Path

from runner.run.directory import RunDirectory
from runner.run.ending import cancel_run, give_up_run
from runner.run.provenance import read_provenance
from runner.sweeps.slurm.leaving import Intent, JobOfCluster, fruitless_starts, intent_for, requeue


def come_back(
    job: JobOfCluster, run: Path | None, *, retries: int, how: str, step: int | None = None
) -> bool:
    """Return whether `job` will be started again; write into the run at `run` if it will not be.

    `how` says what ended this start ("was stopped by SIGUSR2"), `step` where the run is saved, if
    that is known.
    """
    intent = intent_for(job)
    if intent is Intent.RETURN:
        tell(f"Slurm job {job.id} {how} and will be started again")
        return True
    if intent is Intent.CANCEL:
        tell(f"Slurm job {job.id} {how}: it was cancelled")
        if run is not None:
            cancel_run(RunDirectory(run))
        return False
    if (reason := crash_loop(job, run, retries=retries, how=how, step=step)) is not None:
        tell(reason)
        if run is not None:
            give_up_run(RunDirectory(run), reason)
        return False
    is_back = requeue(job)
    tell(f"Slurm job {job.id} {how} and {'is' if is_back else 'COULD NOT BE'} requeued")
    return is_back


def crash_loop(
    job: JobOfCluster, run: Path | None, *, retries: int, how: str, step: int | None = None
) -> str | None:
    """Return why `job` should not come back: too many starts in a row gained no step; or None."""
    provenance = RunDirectory(run).provenance if run is not None else None
    known = read_provenance(provenance) if provenance and provenance.exists() else None
    starts = fruitless_starts(known, job, step=step)
    if starts <= retries:
        return None
    return (
        f"{starts} starts of Slurm job {job.id} in a row gained no step, and the last one {how}: "
        f"it is not started again (hydra.launcher.retries={retries})"
    )


def tell(sentence: str) -> None:
    """Write `sentence` to where this process writes its errors."""
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()
