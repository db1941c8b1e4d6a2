"""`Pulse`: is the process alive that holds a lease on a machine which cannot be looked at?"""

import time
from pathlib import Path

from runner.run.lease import beat_of

_SURE = 2  # a shared disk may show a beat late: one that is seen to move may be the last


class Pulse:
    """Watches the heartbeat of the lease at a path; `feel` it now and then."""

    def __init__(self, lease: Path) -> None:
        self._lease = lease
        self._beat: str | None = None
        self._since = time.monotonic()
        self._num_felt = -1  # the first one that is seen may be old

    @property
    def is_felt(self) -> bool:
        """Return whether the heartbeat moves: its process is alive."""
        return self._num_felt >= _SURE

    def feel(self) -> None:
        """Look at the heartbeat."""
        beat = beat_of(self._lease)
        if beat is None or beat != self._beat:
            self._num_felt += beat is not None
            self._beat, self._since = beat, time.monotonic()

    def still_at(self, seconds: float) -> str | None:
        """Return the beat if it has stood still for that long, else None."""
        return self._beat if time.monotonic() - self._since >= seconds else None
