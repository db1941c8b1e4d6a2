"""What a process tells its delivery process: JSON lines over a pipe, never in a file."""

import json
import threading
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import IO, Any

PARENT_DIED = "lost"


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a sweep says of one of its runs: that it begins, or, with a state, how it ended."""

    directory: str
    state: str | None = None
    handover: dict[str, Any] | None = None  # what to deliver, of a run whose job left no word


@dataclass(frozen=True, kw_only=True)
class Ending:
    """The last message: how it ended, and how long the process that tells it is going to wait."""

    state: str
    seconds: float
    model_files: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)  # others; a directory keeps its name
    summary: dict[str, float] = field(default_factory=dict)  # metrics of a sweep
    ended_ms: int = 0
    is_late: bool = False  # told by no job: one may go on meanwhile, so that its status counts


def write_message(pipe: IO[str], message: Any) -> None:
    """Write one message, a dataclass, to the pipe."""
    pipe.write(json.dumps(asdict(message)) + "\n")
    pipe.flush()


class Inbox:
    """Waits for the `Ending`; the pipe closing without one means that the other process died."""

    def __init__(self, pipe: IO[str], *, seconds_if_died: float) -> None:
        self._pipe = pipe
        self._told: deque[Told] = deque()
        self._arrived = threading.Event()
        self._ending = Ending(state=PARENT_DIED, seconds=seconds_if_died)
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def is_over(self) -> bool:
        """Tell whether there is an ending."""
        return self._arrived.is_set()

    def wait(self, seconds: float) -> Ending | None:
        """Return the ending as soon as there is one, None after `seconds` without."""
        return self._ending if self._arrived.wait(seconds) else None

    def take(self) -> list[Told]:
        """Return what was told of runs since the last call; all of it once there is an ending."""
        return [self._told.popleft() for _ in range(len(self._told))]

    def parent_died(self) -> None:
        """Count as ended, though another process still holds the other end of the pipe."""
        self._arrived.set()

    def _read(self) -> None:
        try:
            while (line := self._pipe.readline()).endswith("\n"):
                message = json.loads(line)
                if "directory" not in message:
                    self._ending = Ending(**message)
                    return
                self._told.append(Told(**message))
        finally:
            self._arrived.set()
