"""`DeliveryChild`: the delivery process of one tracker, as the training process holds it."""

import subprocess
from collections.abc import Callable

from runner.trackers.delivery.messages import Ending
from runner.trackers.delivery.process import finish_process

INTERRUPTED_SECONDS = 10.0  # a cluster gives little time between the signal and the end
_INTERRUPTED_STATES = ("preempted", "cancelled")


class DeliveryChild:
    """A process that `launch` starts; what launching raises is given to `on_fault`."""

    def __init__(
        self,
        launch: Callable[[], subprocess.Popen[str]],
        on_fault: Callable[[Exception], None],
    ) -> None:
        self._launch = launch
        self._on_fault = on_fault
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the process; never fails."""
        try:
            self.process = self._launch()
        except (OSError, TypeError) as error:  # TypeError: an order that is no JSON
            self._on_fault(error)

    def finish(self, ending: Ending) -> bool:
        """Return whether the process, started again if it died, says that all arrived."""
        for _ in range(2):
            if self.process is None:
                self.start()
            if self.process is None:
                return False
            answer = finish_process(self.process, ending)
            self.process = None
            if answer is not None:
                return answer
        return False


def seconds_at_end(timeout_seconds: float, state: str) -> float:
    """Return how long what ends in `state` may wait for a server."""
    is_interrupted = state in _INTERRUPTED_STATES
    return min(timeout_seconds, INTERRUPTED_SECONDS) if is_interrupted else timeout_seconds
