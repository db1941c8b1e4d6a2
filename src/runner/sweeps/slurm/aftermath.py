"""What a batch script does when srun has failed: bring back a job that was killed.

`python -m runner.sweeps.slurm.aftermath FOLDER CODE`, where FOLDER is submitit's. A task that a
signal has killed (a segfault, no memory left, a broken node) could not do so itself; one that ended
by itself has said in the status of its run how.
"""

import shlex
import signal
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from pathlib import Path

from runner.run.directory import RunDirectory
from runner.run.status import read_raw_status
from runner.sweeps.slurm.comeback import come_back
from runner.sweeps.slurm.leaving import JobOfCluster
from runner.sweeps.slurm.work import SlurmWork

KILLED = 128  # plus the signal, is the exit code of who was killed
_IS_OPEN = ("queued", "running", "preempted")


def teardown_lines(python: str, folder: Path) -> list[str]:
    """Return the shell lines that follow srun in a batch script (submitit's `teardown`).

    `python` is a shell command, as SlurmExecutor.python; `folder` that of the executor.
    """
    call = f"{python} -m {__spec__.name} {shlex.quote(str(folder))}"
    return [
        "code=$?",
        f'if [ "$code" -ge {KILLED} ]; then {call} "$code" || code=1; fi',
        'exit "$code"',
    ]


def main(arguments: Sequence[str]) -> bool:
    """Let the job come back, if its end was nobody's decision and its starts get somewhere.

    Returns whether it does; otherwise the job has failed, and how its tasks were ended tells less.
    """
    from submitit.core.utils import DelayedSubmission, JobPaths

    folder, code = Path(arguments[0]), int(arguments[1])
    job = JobOfCluster.from_environment()
    work = DelayedSubmission.load(JobPaths(folder, job_id=job.id).submitted_pickle).function
    assert isinstance(work, SlurmWork)
    status = read_raw_status(RunDirectory(work.run).status) if work.run is not None else None
    if status is not None and status.state not in _IS_OPEN:
        return False
    work.log.parent.mkdir(parents=True, exist_ok=True)
    with work.log.open("a", encoding="utf-8") as log, redirect_stderr(log):
        how = f"was killed ({_name_of(code)})"
        return come_back(job, work.run, retries=work.retries, how=how)


def _name_of(code: int) -> str:
    try:
        return signal.Signals(code - KILLED).name
    except ValueError:
        return f"exit code {code}"


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1:]) else 1)
