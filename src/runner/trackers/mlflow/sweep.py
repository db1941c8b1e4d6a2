"""`SweepDelivery`: what a sweep's own process does for the tracking of its runs.

    delivery = SweepDelivery(tracker, TrackedRun(directory=..., name=..., parameters=base, ...))
    delivery.add(directory)               # a run begins: its job gets delivery.delivered_to
    delivery.ended(directory, "failed")   # the last word on it, also on those of earlier starts
    delivery.close("completed", summary={"best_score": 0.97}, files=[report])

It imports no mlflow: a process of its own does, one for all runs (see sweep_process.py). No call
but `close` waits for anything. Nothing that happens to the delivery stops the sweep.
"""

import logging
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from runner.run.directory import RunDirectory
from runner.trackers.delivery.child import seconds_at_end
from runner.trackers.delivery.messages import Ending, Told, write_message
from runner.trackers.delivery.process import end_process, finish_process
from runner.trackers.mlflow.handover import Handover, handover_of, is_delivered, read_handover
from runner.trackers.mlflow.mark import MarkFile
from runner.trackers.mlflow.order import Order
from runner.trackers.mlflow.process import launch_process, log_of
from runner.trackers.mlflow.states import mlflow_state
from runner.trackers.mlflow.tracker import MLflowTracker
from runner.trackers.mlflow.uri import without_credentials
from runner.trackers.tracker import TrackedRun

LOOK_SECONDS = 5.0  # how often it looks whether the process still lives
RESTART_SECONDS = 30.0  # a process that died is started again after that, not earlier
_JOIN_SECONDS = 2.0
_DAMAGED = (OSError, ValueError, TypeError, KeyError)  # told by the delivery, in its log

logger = logging.getLogger(__name__)


class SweepDelivery:
    """Delivers a whole sweep: its runs, nested below a run of MLflow for the sweep itself.

    `sweep` names the sweep's directory and config as `TrackedRun` does those of a run; its tags are
    those of the parent. The process starts with the first word on a run. A thread talks to it, so
    that a full pipe blocks nobody, and starts it again if it was killed.
    """

    def __init__(self, tracker: MLflowTracker, sweep: TrackedRun) -> None:
        name = sweep.directory.path.name  # run_name is that of its runs
        order = replace(tracker.order(sweep), name=name)
        self._order: Order = replace(order, tags={"runner.sweep": name, **order.tags})
        self._timeout_seconds = tracker.finish_timeout_seconds
        self._told: dict[str, Told] = {}  # the last word on each run
        self._news: list[Told] = []  # what the process was not told yet
        self._changed = threading.Condition()
        self._is_closing = False
        self._process: subprocess.Popen[str] | None = None
        self._earliest_start = 0.0
        self._thread = threading.Thread(target=self._talk, name="delivery", daemon=True)

    @property
    def address(self) -> str:
        """The server, without a password."""
        return without_credentials(self._order.uri)

    @property
    def delivered_to(self) -> dict[str, str]:
        """What every job of the sweep is given (see TrackedRun), so that it hands over."""
        return {self._order.written: self.address}

    def add(self, directory: Path) -> None:
        """Tell that a run begins, or goes on, in `directory`."""
        self._tell(Told(directory=str(directory.absolute())))

    def ended(self, directory: Path, state: str, handover: Handover | None = None) -> None:
        """Tell the last word on a run; what is there of it already costs next to nothing.

        `handover` says what to deliver of a run whose job left no word for this server.
        """
        plain = None if handover is None else asdict(handover)
        self._tell(Told(directory=str(directory.absolute()), state=state, handover=plain))

    def close(
        self,
        state: str,
        *,
        summary: Mapping[str, float] | None = None,
        files: Sequence[Path] = (),
        timeout_seconds: float | None = None,
    ) -> list[Path]:
        """Deliver the rest; return the directories of what is missing, told in one warning.

        `summary` becomes metrics of the sweep, `files` (and whole directories) its artifacts. It
        waits at most `timeout_seconds` (None: finish_timeout_seconds), or 10 s if interrupted.
        """
        timeout = self._timeout_seconds if timeout_seconds is None else timeout_seconds
        seconds = seconds_at_end(timeout, state)
        missing = self.finish(state, summary=summary, files=files, seconds=seconds)
        if missing:
            self._warn(missing, seconds)
        return missing

    def finish(
        self,
        state: str,
        *,
        summary: Mapping[str, float] | None,
        files: Sequence[Path],
        seconds: float,
    ) -> list[Path]:
        """Do what `close` does, within `seconds`, and leave it to the caller to tell it."""
        self._stop_talking()
        if not self._told:
            return []
        ending = Ending(
            state=state,
            seconds=seconds,
            files=[str(path.absolute()) for path in files if path.exists()],
            summary=dict(summary or {}),
            ended_ms=int(time.time() * 1000),
        )
        if self._finish(ending):
            return []
        return self._missing(state)

    def _tell(self, told: Told) -> None:
        with self._changed:
            self._told[told.directory] = told
            self._news.append(told)
            self._changed.notify()
        if self._thread.ident is None:
            self._thread.start()

    def _talk(self) -> None:
        """Pass on what was told, and start the process again if it died; the thread's life."""
        while not self._is_closing:
            self._pass_on()
            with self._changed:
                if not self._is_closing and (self._process is None or not self._news):
                    self._changed.wait(LOOK_SECONDS)

    def _pass_on(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            end_process(self._process)
            self._process = None
        if self._process is None:
            if time.monotonic() < self._earliest_start:
                return
            self._earliest_start = time.monotonic() + RESTART_SECONDS
        self._write_news()

    def _write_news(self) -> None:
        """Tell the process what is new; one that is new itself, all."""
        try:
            with self._changed:
                is_new = self._process is None
                news = list(self._told.values()) if is_new else self._news
                self._news = []
            if self._process is None:
                self._process = launch_process("sweep_process", self._order)
            assert self._process.stdin is not None
            for told in news:
                write_message(self._process.stdin, told)
        except (OSError, ValueError) as error:  # ValueError: closed meanwhile
            logger.debug("the delivery process was not told: %s", error)

    def _stop_talking(self) -> None:
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(_JOIN_SECONDS)
        if self._thread.is_alive() and self._process is not None:  # it reads no more: a full pipe
            self._process.kill()
            self._thread.join()

    def _finish(self, ending: Ending) -> bool:
        """Return whether the process, started again if it died, says that all arrived."""
        deadline = time.monotonic() + ending.seconds
        for _ in range(2):
            self._write_news()
            if self._process is None:
                return False
            left = max(0.5, deadline - time.monotonic())
            answer = finish_process(self._process, replace(ending, seconds=left))
            self._process = None
            if answer is not None:
                return answer
        return False

    def _missing(self, state: str) -> list[Path]:
        """Return the directories of the runs that MLflow has not all of, or not the last word."""
        missing = [
            Path(told.directory) for told in self._told.values() if not self._has_arrived(told)
        ]
        if not self._has_arrived_itself(state):
            missing.append(Path(self._order.directory))
        return missing

    def _has_arrived_itself(self, state: str) -> bool:
        mark = MarkFile(RunDirectory(Path(self._order.directory)).tracker("mlflow"))
        try:
            return mark.load(self.address).state == mlflow_state(state)
        except _DAMAGED:
            return False

    def _has_arrived(self, told: Told) -> bool:
        directory = RunDirectory(Path(told.directory))
        try:
            handover = handover_of(told.handover) if told.handover else read_handover(directory)
            if handover is None or handover.order.uri != self.address:
                return True
            return is_delivered(directory, told.state or "lost", address=self.address)
        except _DAMAGED:
            return False

    def _warn(self, missing: Sequence[Path], seconds: float) -> None:
        sweep = Path(self._order.directory)
        logger.warning(
            "MLflow at %s did not take all of this sweep within %g s: %d of its %d runs%s are not "
            "complete there; nothing is lost, all stays in %s, and the next start of the sweep "
            "delivers it (reasons: %s)",
            self.address,
            seconds,
            sum(path != sweep for path in missing),
            len(self._told),
            " and its own" if sweep in missing else "",
            sweep,
            log_of(self._order),
        )
