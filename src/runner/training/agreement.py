"""What the ranks decide together: to stop, and what time it is."""

import signal

import torch

from runner.errors import Interrupted, RunError
from runner.runtime.ranks import Ranks
from runner.runtime.signals import StopRequests


class Agreement:
    """A stop request of any rank, heard by all ranks at the same place of the training.

    A signal reaches the ranks at different times, or only one of them; without agreement one would
    save while another goes on. Alone, this is the request itself.
    """

    def __init__(self, ranks: Ranks, stop: StopRequests) -> None:
        self._ranks = ranks
        self._stop = stop
        self._received: signal.Signals | None = None
        self._abandoned: str | None = None

    @property
    def is_to_stop(self) -> bool:
        """Return whether a stop was asked for, as of the last look."""
        return self._received is not None or self._abandoned is not None

    @property
    def may_save(self) -> bool:
        """Return whether the directory is still this job's, as of the last look."""
        return self._abandoned is None

    def look(self, *clocks: float) -> tuple[float, ...]:
        """Hear all ranks, and return what `clocks` say on rank 0; every rank calls this."""
        self._received, self._abandoned = self._stop.received, self._stop.abandoned
        if not self._ranks.are_several:
            return clocks
        mine = [float(self._received or 0), float(self._abandoned is not None)]
        seen = clocks if self._ranks.is_main else [0.0] * len(clocks)
        number, abandoned, *told = self._ranks.largest(
            torch.tensor([*mine, *seen], dtype=torch.float64)
        ).tolist()
        if number:
            self._received = signal.Signals(int(number))
        if abandoned:
            self._abandoned = self._abandoned or "rank 0 lost the run directory to another job"
        return tuple(told)

    def is_enough(self, step: int) -> bool:
        """Return whether the job was asked, before it began, to stop after this step."""
        if self._stop.after_step is not None and step >= self._stop.after_step:
            self._received = signal.SIGTERM  # of all ranks: they have been asked alike
            return True
        return False

    def obey(self) -> None:
        """Raise what ends the job if a stop was asked for, as of the last look."""
        if self._abandoned is not None:
            raise RunError(self._abandoned)
        if self._received is not None:
            raise Interrupted(self._received)

    def look_and_obey(self) -> None:
        """Hear all ranks, and raise what ends the job where nothing is to be saved before."""
        self.look()
        self.obey()
