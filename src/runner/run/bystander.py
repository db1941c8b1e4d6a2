"""The session of a rank that is not rank 0: it computes, and rank 0 writes."""

import sys

from runner.run.directory import RunDirectory
from runner.run.journal import Journal, Row
from runner.run.session import Session
from runner.run.status import Status


class ClosedJournal(Journal):
    """A journal that takes no row, and answers as rank 0's does."""

    def __init__(self, *, has_rows: bool) -> None:
        self._has_rows = has_rows

    @property
    def has_rows(self) -> bool:
        return self._has_rows

    def last_step(self, split: str) -> int:  # noqa: ARG002
        return sys.maxsize

    def append(self, row: Row) -> bool:  # noqa: ARG002
        return False

    def sync(self) -> None: ...

    def close(self) -> None: ...


class Bystander(Session):
    """A session of a run directory that another rank has opened; it writes nothing."""

    def __init__(self, directory: RunDirectory, id: str, *, has_rows: bool) -> None:
        super().__init__(directory, id, Status(state="running"), ClosedJournal(has_rows=has_rows))

    def begin(self, *, step: int) -> None:  # noqa: ARG002
        self.has_begun = True

    def write_status(self, state: str | None = None, error: str | None = None) -> None: ...
