"""Take the jobs of a sweep, or of one run, from the cluster."""

import time
from collections.abc import Collection, Mapping
from pathlib import Path

from runner.errors import RunError
from runner.run.lease import kept_free
from runner.sweeps.slurm.book import JobBook
from runner.sweeps.slurm.queue import QueuedJob, QueueUnavailable, base_of, read_queue, run_slurm

_MOST_IDS = 1000  # of one scancel call
_ASK_SECONDS = 2.0  # between two calls of squeue


class Cancelling:
    """Cancels the jobs in the book at `book`; with a `number` those of that run alone.

    `begin`, then `is_done` until it is, then `write_down` what is `gone`. A job that works is
    asked by Slurm to save and leave, and killed after the cluster's KillWait.
    """

    def __init__(self, book: Path, *, lease: Path, number: int | None = None) -> None:
        self._path = book
        self._lease = lease  # whoever holds it writes the book
        self._number = number
        self._ids: dict[int, str] = {}
        self._alive: dict[str, QueuedJob] = {}
        self._names: Mapping[str, int] = {}
        self._next_look = 0.0
        self._refusal: QueueUnavailable | None = None

    @property
    def num_unconfirmed(self) -> int:
        """How many submissions, whose process died in the middle of them, were cancelled."""
        return len(self._names)

    def are_there(self) -> bool:
        """Return whether Slurm has jobs to cancel; RunError where it cannot be asked."""
        if not self._path.is_file():
            return False
        self._read_book()
        self._alive = self._ask(self._ids.values())
        return bool(self._alive or self._names)

    def begin(self) -> None:
        """Tell Slurm to cancel; arrays in one word, all in a call or few."""
        if self._number is None:  # whoever watched has gone, and may have submitted more
            self._read_book()
            self._alive = self._ask(self._ids.values())
        self._ids = {number: id for number, id in self._ids.items() if id in self._alive}
        for name, user in self._names.items():
            run_slurm(["scancel", f"--name={name}", f"--user={user}"])
        self._cancel(self._alive)

    def is_done(self) -> bool:
        """Return whether all are gone; asks Slurm every few seconds."""
        if not self._alive:
            return True
        if time.monotonic() < self._next_look:
            return False
        self._next_look = time.monotonic() + _ASK_SECONDS
        try:
            self._alive = self._ask(self._alive)
            # One that was being requeued when it was cancelled is in the queue again.
            self._cancel([id for id, job in self._alive.items() if job.is_waiting])
        except QueueUnavailable:
            return False
        return not self._alive

    def gone(self) -> list[int]:
        """Return the runs whose jobs were cancelled; RunError for those that stay."""
        if self._alive and self._refusal is not None:
            raise RunError(f"{len(self._alive)} jobs are still there: {self._refusal}")
        return sorted(number for number, id in self._ids.items() if id not in self._alive)

    def write_down(self, numbers: Collection[int]) -> None:
        """Write into the book that the jobs of these runs have ended, unless its holder will."""
        with kept_free(self._lease) as is_free:
            if is_free:
                book = JobBook(self._path)
                book.ended(*(self._ids[number] for number in numbers))
                for name in self._names:
                    book.not_submitted(name)

    def _read_book(self) -> None:
        book = JobBook(self._path)
        ids, one = book.last_ids, self._number
        self._ids = ids if one is None else {n: id for n, id in ids.items() if n == one}
        # Of a run in a sweep it is not known whether it is among them.
        is_whole = one is None or self._path.parent == self._lease.parent
        self._names = book.unconfirmed if is_whole else {}

    def _ask(self, ids: Collection[str]) -> dict[str, QueuedJob]:
        jobs = read_queue(ids, users=JobBook(self._path).users)
        return {id: job for id, job in jobs.items() if job.is_alive}

    def _cancel(self, ids: Collection[str]) -> None:
        # All tasks of an array of a sweep are the sweep's: one word for them.
        words = sorted(ids if self._number is not None else {base_of(id) for id in ids})
        for start in range(0, len(words), _MOST_IDS):
            try:
                run_slurm(["scancel", *words[start : start + _MOST_IDS]])
            except QueueUnavailable as error:  # of one job that is over by now, or of all
                self._refusal = error
