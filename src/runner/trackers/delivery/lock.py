"""The lock of a delivery: of one run, or one sweep, one process at a time delivers."""

import fcntl
import uuid
from pathlib import Path
from typing import IO


class DeliveryLock:
    """A lock beside the mark at `mark_path`; who waits for it leaves a word for who holds it."""

    def __init__(self, mark_path: Path) -> None:
        self._path = mark_path.with_suffix(".lock")
        self._word = uuid.uuid4().hex
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Wait until the delivery that holds it, of a job killed before, has come to its end."""
        self._file = self._open()
        self._path.write_text(self._word, encoding="utf-8")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def try_acquire(self) -> bool:
        """Take it if it is free; return whether it is held now."""
        if self._file is not None:
            return True
        file = self._open()
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._file = file
        return True

    def release(self) -> None:
        """Give it back if it is held."""
        if self._file is not None:
            self._file.close()
        self._file = None

    @property
    def is_awaited(self) -> bool:
        """Tell whether another delivery waits until this one leaves."""
        return self._path.read_text(encoding="utf-8") not in ("", self._word)

    def _open(self) -> IO[str]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return self._path.open("a", encoding="utf-8")
