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
    is_taken = intent is Intent.TAKE
    reason = None if is_taken else crash_loop(job, run, retries=retries, how=how, step=step)
    if reason is not None:
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
    """Return why `job` should not come back: too many starts in a row gained no step; or None.

    It is for a start that Slurm did not take away, which is noted: only these count.
    """
    if run is None:
        starts = job.restart + 1
    else:
        directory = RunDirectory(run)
        provenance = directory.provenance
        known = read_provenance(provenance) if provenance.exists() else None
        step = directory.saved_step if step is None else step
        starts = fruitless_starts(known, job, ended=_with_this(directory, job), step=step)
    if starts <= retries:
        return None
    return (
        f"{starts} starts of Slurm job {job.id} in a row gained no step, and the last one {how}: "
        f"it is not started again (hydra.launcher.retries={retries})"
    )


def _with_this(directory: RunDirectory, job: JobOfCluster) -> set[int]:
    """Note that this start of `job` has ended; return all such, by their number.

    Where nothing can be noted all count, so that no job comes back for ever.
    """
    path, this = directory.slurm_ends, f"{job.raw_id} {job.restart}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        if this not in lines:
            with path.open("a", encoding="utf-8") as file:
                file.write(f"{this}\n")
    except OSError:
        return set(range(job.restart + 1))
    pairs = (line.split() for line in (*lines, this))
    return {int(pair[1]) for pair in pairs if len(pair) == 2 and pair[0] == job.raw_id}


def tell(sentence: str) -> None:
    """Write `sentence` to where this process writes its errors."""
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()
