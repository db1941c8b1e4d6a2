"""The journal of a study on a disk: whole lines, by several processes on several machines.

As Optuna's own file backend, but a kill leaves neither a lock that others wait for nor half a line
that makes the whole file unreadable.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from runner.errors import RunError
from runner.files import drop_torn_line

_POLL_SECONDS = 0.002


class StudyFile(BaseJournalBackend):
    """One JSON object a line; the lock goes with the process that holds it."""

    def __init__(self, path: Path, *, patience_seconds: float = 60.0) -> None:
        self._path = path
        self._patience_seconds = patience_seconds
        self._number, self._offset = 0, 0  # of the first line that was not read yet
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yield the whole lines from this number on; a line that is no JSON is left out."""
        if log_number_from != self._number:
            self._number, self._offset = 0, 0
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):  # another process is in the middle of writing it
                    return
                self._offset += len(line)
                try:
                    log = json.loads(line)
                except ValueError:  # what a machine that lost its power has left
                    continue
                self._number += 1
                if self._number > log_number_from:
                    yield log

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append `logs`; they survive a power loss from here on. RunError: no lock."""
        content = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        with self._locked():
            drop_torn_line(self._path)
            with self._path.open("ab") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        deadline = time.monotonic() + self._patience_seconds
        with self._path.with_name(f".{self._path.name}.lock").open("w") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise RunError(
                            f"{self._path} was locked by another process for "
                            f"{self._patience_seconds:g} seconds"
                        ) from None
                    time.sleep(_POLL_SECONDS)
            yield
