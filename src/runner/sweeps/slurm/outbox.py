"""`Outbox`: the jobs that are to go to the cluster, in arrays of jobs that ask for the same.

The book hears of each array before the cluster does. Where it is not known whether the cluster has
taken one (it gave no answer, or this process was killed), it is withdrawn by its name before
anything else is sent: no run is given two jobs.
"""

import re
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from runner.errors import RunError
from runner.sweeps.codebase.snapshot import take_snapshot
from runner.sweeps.codebase.submitted import SubmittedCode, leave_code
from runner.sweeps.pool import Home
from runner.sweeps.slurm.aftermath import teardown_lines
from runner.sweeps.slurm.book import JobBook
from runner.sweeps.slurm.cluster import max_array_size
from runner.sweeps.slurm.queue import QueueUnavailable, run_slurm
from runner.sweeps.slurm.resources import Resources
from runner.sweeps.slurm.submission import QueueFullError, Submission
from runner.sweeps.slurm.work import SlurmWork

_LOOK_SECONDS = 2.0  # between two looks at what is being withdrawn
_WITHDRAWAL_SECONDS = 120.0  # until what is withdrawn and stays is let be: its node is broken
_FULL_SECONDS = 30.0  # until the cluster, which took no more jobs, is asked again
_NOT_TAKEN = re.compile(r"[0-9a-f]{32}\.pkl|\.submission_file_[0-9a-f]{32}\.sh")  # submitit's


@dataclass(frozen=True, kw_only=True)
class SlurmSetup:
    """How jobs go to the cluster; what each asks for stands in its config."""

    retries: int = 5  # jobs of a run in a row that gain no step
    array_parallelism: int | None = None  # jobs of an array at once
    most: int | None = None  # jobs on the cluster at once; None: all
    warning_seconds: int = 120  # before the time limit
    snapshot_code: bool = False  # jobs run a copy of the code as it is at their submission


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """A job for the run `number`, which the cluster has not heard of."""

    number: int
    work: SlurmWork = field(repr=False)
    resources: Resources


class Outbox:
    """Keeps new jobs until the cluster has taken them; `obstacle` says why it takes no more."""

    def __init__(self, setup: SlurmSetup, home: Home, book: JobBook) -> None:
        self._setup = setup
        self._name = re.sub(r"[^\w.+-]", "_", home.name)  # as squeue shows it
        self._folder = home.folder.absolute()
        self._book = book
        self._jobs: dict[int, NewJob] = {}
        self._refused: dict[int, RunError] = {}
        self._size: int | None = None  # of an array, once the cluster refused a larger one
        self._wait_until = 0.0
        self._withdrawn_at: dict[str, float] = {}  # when it was asked for first, by name
        self.obstacle: str | None = None

    def __len__(self) -> int:
        return len(self._jobs)

    @cached_property
    def code(self) -> SubmittedCode:
        """The code of all jobs of this process; it is looked at when the first is submitted."""
        keep = take_snapshot if self._setup.snapshot_code else leave_code
        return keep(self._folder)

    def add(self, job: NewJob) -> None:
        """Keep a job until the next `send`."""
        self._jobs[job.number] = job

    def drop(self, number: int) -> bool:
        """Forget a job that has not been sent; return whether there was one."""
        return self._jobs.pop(number, None) is not None

    def withdraw_unconfirmed(self) -> bool:
        """Take back arrays of which nobody knows what became; QueueUnavailable if it cannot be.

        Returns whether they are gone: their jobs may be at work, and need some time to save.
        """
        for name, user in self._book.unconfirmed.items():
            whose = [f"--name={name}", f"--user={user}"]
            run_slurm(["scancel", *whose])
            began = self._withdrawn_at.setdefault(name, time.monotonic())
            is_there = run_slurm(["squeue", "--all", "--noheader", "--format=%i", *whose]).strip()
            if not is_there or time.monotonic() - began > _WITHDRAWAL_SECONDS:
                self._not_taken(name)
        return not self._book.unconfirmed

    def send(self) -> Iterator[dict[int, str]]:
        """Hand over what is there; yield the ids of jobs, by number, as the cluster takes them.

        What it does not take now, stays; what it refuses is kept for `take_refusals`. RunError when
        it refuses everything, and has never taken a job of this book: nothing has begun then.
        """
        if not self._jobs or time.monotonic() < self._wait_until:
            return
        self.obstacle = None
        try:
            if not self.withdraw_unconfirmed():
                self.obstacle = "an earlier submission that gave no answer is being cancelled"
                self._wait_until = time.monotonic() + _LOOK_SECONDS
                return
            while self._jobs:
                yield self._send_some()
            if self._refused and self._book.is_unused:
                raise next(iter(self._refused.values()))
        except (QueueFullError, QueueUnavailable) as error:
            self.obstacle = str(error)
            self._wait_until = time.monotonic() + _FULL_SECONDS

    def take_refusals(self) -> dict[int, str]:
        """Return why the cluster does not take jobs, by number, each once."""
        refused, self._refused = self._refused, {}
        return {number: str(error) for number, error in refused.items()}

    def _send_some(self) -> dict[int, str]:
        """Submit jobs that ask for the same, fewer at once where the cluster is almost full."""
        most = max_array_size()
        size = min(self._size or most, most)
        first = next(iter(self._jobs.values()))
        same = (job for job in self._jobs.values() if job.resources == first.resources)
        jobs = [job for _, job in zip(range(size), same, strict=False)]
        try:
            ids = self._submit(jobs, first.resources)
        except QueueFullError:
            self._size = max(1, len(jobs) // 2)
            if len(jobs) == 1:
                raise
            return {}
        except QueueUnavailable:
            raise
        except RunError as error:
            self._refused |= {job.number: error for job in jobs}
            ids = {}
        else:
            self._size = 2 * size
        for number in {*ids, *self._refused}:
            self.drop(number)
        return ids

    def _submit(self, jobs: Sequence[NewJob], resources: Resources) -> dict[int, str]:
        name = f"{self._name}-{uuid.uuid4().hex[:6]}"
        submission = Submission(
            folder=self._folder,
            name=name,
            parameters=self._parameters(resources, len(jobs)),
            python=self.code.python,
        )
        self._book.submitting(name, [job.number for job in jobs])
        try:
            ids = submission.submit([job.work for job in jobs])
        except QueueUnavailable:  # it may have been taken
            raise
        except RunError:
            self._not_taken(name)
            raise
        pairs = dict(zip((job.number for job in jobs), ids, strict=True))
        self._book.submitted(name, pairs)
        return pairs

    def _not_taken(self, name: str) -> None:
        self._book.not_submitted(name)
        for path in self._folder.glob("*") if self._folder.is_dir() else ():
            if _NOT_TAKEN.fullmatch(path.name) and not path.is_symlink():
                path.unlink()

    def _parameters(self, resources: Resources, count: int) -> dict[str, object]:
        """Return what submitit is to ask for: for `count` jobs with the same resources."""
        setup = self._setup
        parameters = resources.parameters(warning_seconds=setup.warning_seconds)
        own_lines = parameters.get("setup") or []
        return {
            **parameters,
            "setup": [*own_lines, *self.code.setup_lines(sys.path)],
            "teardown": teardown_lines(self.code.python, self._folder),
            "array_parallelism": setup.array_parallelism or count,
        }
