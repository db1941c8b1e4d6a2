"""What a training process tells its delivery process: JSON lines over a pipe, never in a file."""

import json
import threading
from dataclasses import asdict, dataclass, field
from typing import IO

PARENT_DIED = "lost"


@dataclass(frozen=True, kw_only=True)
class Order:
    """The first message: what to deliver, and where to, with the password if there is one."""

    directory: str
    name: str
    uri: str
    written: str  # the address as the config writes it
    experiment: str
    artifact_location: str | None
    started_ms: int
    parameters: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Ending:
    """The last message: how the run ended, and how long the training process is going to wait."""

    state: str
    seconds: float
    model_files: list[str] = field(default_factory=list)


def write_message(pipe: IO[str], message: Order | Ending) -> None:
    """Write one message to the pipe."""
    pipe.write(json.dumps(asdict(message)) + "\n")
    pipe.flush()


def read_order(pipe: IO[str]) -> Order:
    """Return the first message."""
    return Order(**json.loads(pipe.readline()))


class Inbox:
    """Waits for the `Ending`; the pipe closing without one means that the training process died."""

    def __init__(self, pipe: IO[str], *, seconds_if_died: float) -> None:
        self._pipe = pipe
        self._arrived = threading.Event()
        self._ending = Ending(state=PARENT_DIED, seconds=seconds_if_died)
        threading.Thread(target=self._read, daemon=True).start()

    def wait(self, seconds: float) -> Ending | None:
        """Return the ending as soon as there is one, None after `seconds` without."""
        return self._ending if self._arrived.wait(seconds) else None

    def parent_died(self) -> None:
        """Count as ended, though another process still holds the other end of the pipe."""
        self._arrived.set()

    def _read(self) -> None:
        try:
            line = self._pipe.readline()
            if line.endswith("\n"):
                self._ending = Ending(**json.loads(line))
        finally:
            self._arrived.set()
