"""Hand a group of jobs over to the cluster, with submitit: one as a job, several as an array."""

import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

from runner.errors import RunError
from runner.runtime.signals import held_back_from_children
from runner.sweeps.slurm.commands import is_full, is_silent, submitting
from runner.sweeps.slurm.queue import QueueUnavailable
from runner.sweeps.slurm.work import SlurmWork

T = TypeVar("T")

ENDLESS = 10**6  # time-outs after which submitit lets a job come back; runner has limits of its own


class QueueFullError(RunError):
    """The cluster takes no more jobs of this user now."""


def require_sbatch() -> None:
    """Raise RunError where no jobs can be submitted."""
    if shutil.which("sbatch") is None:
        raise RunError(
            "there is no sbatch on this machine: hydra/launcher=slurm is for a login node of a "
            "cluster"
        )


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What all jobs of one call have in common."""

    folder: Path  # where submitit keeps scripts, what jobs do, and their first words
    name: str
    parameters: Mapping[str, Any]  # submitit's: partition, time, ...
    python: str | None = None  # the command that starts Python; None: this one

    def submit(self, works: Sequence[SlurmWork]) -> list[str]:
        """Submit `works` and return the id of each: "123", or "123_4" of an array.

        Raises QueueFullError when there are too many for now, QueueUnavailable when the cluster
        gives no answer, RunError when it refuses.
        """
        from submitit import SlurmExecutor
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        try:
            executor = SlurmExecutor(
                folder=self.folder, max_num_timeout=ENDLESS, python=self.python
            )
            executor.update_parameters(job_name=self.name, **self.parameters)
            with submitting(), redirect_stderr(StringIO()):  # told by the error
                jobs = _interruptible(lambda: executor.submit_array(works))
        except (FailedJobError, FailedSubmissionError, RuntimeError, OSError) as error:
            raise _refusal(error) from error
        return [job.job_id for job in jobs]


def _interruptible(call: Callable[[], T]) -> T:
    """Return what `call` does, out of the reach of Ctrl-C; a second one leaves it alone.

    sbatch waits for two minutes where the cluster is full. What it starts is not signalled.
    """
    done: Future[T] = Future()

    def work() -> None:
        with held_back_from_children():
            try:
                done.set_result(call())
            except BaseException as error:
                done.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return done.result()


def _refusal(error: Exception) -> RunError:
    words = str(error)
    lines = [line.removeprefix("sbatch: error: ") for line in words.splitlines() if line.strip()]
    told = "; ".join(line for line in lines if "sbatch" not in line and "Traceback" not in line)
    if is_full(words):
        return QueueFullError(f"the cluster takes no more jobs now: {told or words}")
    if is_silent(words):  # nobody knows whether it has taken them
        return QueueUnavailable(f"the cluster does not answer: {told or words}")
    return RunError(f"the cluster refused the jobs: {told or words}")
