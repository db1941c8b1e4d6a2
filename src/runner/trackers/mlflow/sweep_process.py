"""Mirror a sweep to MLflow: `python -m runner.trackers.mlflow.sweep_process`, a process.

One for the whole sweep: it imports mlflow once. The sweep is a run of MLflow without a journal, and
the parent of its runs. Of these it is told when they begin and how they ended; the rest it finds
in their directories (see handover.py).

    while the sweep goes on, every few seconds, round robin:
        deliver new rows of the runs that go on
        deliver the rest of those that have ended, their files and their state
    deliver the rest; then how the sweep ended

When the sweep's process died, it waits, for a bounded time, for the runs that save and leave.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from runner.errors import RunError
from runner.run.directory import RunDirectory
from runner.run.status import read_status
from runner.trackers.delivery.lock import DeliveryLock
from runner.trackers.delivery.messages import PARENT_DIED, Ending, Inbox, Told
from runner.trackers.journal_tail import has_more
from runner.trackers.mlflow.delivery import PARENT_TAG, SWEEP_TAG, Delivery
from runner.trackers.mlflow.handover import (
    Handover,
    handover_of,
    handover_path,
    is_delivered,
    read_handover,
    stamp_of,
)
from runner.trackers.mlflow.mark import Mark, MarkFile
from runner.trackers.mlflow.order import Order
from runner.trackers.mlflow.serving import Connect, serve
from runner.trackers.mlflow.states import mlflow_state
from runner.trackers.mlflow.uri import without_credentials


class SweepMirror:
    """The sweep's own run, and those of its runs that have something to deliver."""

    def __init__(self, order: Order, connect: Connect, inbox: Inbox, lock: DeliveryLock) -> None:
        self._order = order
        self._connect = connect
        self._inbox = inbox
        self._lock = lock
        self._parent = Delivery(order, connect)
        self._parent_id: str | None = None
        self._has_ended = False
        self._runs: dict[str, RunOfSweep] = {}

    def has_news(self) -> bool:
        """Tell whether there are runs to look at."""
        self._hear()
        return bool(self._runs)

    def deliver_rows(self) -> None:
        """Deliver what is new of each run in turn, until the sweep ends."""
        if any(run.goes_on for run in self._runs.values()):
            self._open()  # the sweep shows itself before there are values
        self._deliver_due(until_over=True)

    def deliver_all(self, ending: Ending) -> None:
        """Deliver what is left of all runs, then how the sweep ended."""
        self._hear()
        for run in self._runs.values():
            run.settle()
        failure: Exception | None = None
        try:
            self._deliver_due(until_over=False)
        except Exception as error:  # of one run, perhaps: the sweep's own end is told all the same
            failure = error
        self._end(ending)
        if failure is not None:
            raise failure
        if ending.state == PARENT_DIED and self._runs and not self._lock.is_awaited:
            raise RunError(f"{len(self._runs)} runs still go on, though their sweep is gone")

    def _hear(self) -> None:
        for told in self._inbox.take():
            if told.directory not in self._runs:
                run = RunOfSweep(Path(told.directory), self._order, self._connect)
                self._runs[told.directory] = run
            self._runs[told.directory].hear(told)

    def _open(self) -> str:
        if self._parent_id is None:
            self._parent_id = self._parent.open()
        return self._parent_id

    def _deliver_due(self, *, until_over: bool) -> None:
        """Go round all runs; one that fails ends the round and is the last of the next."""
        for name, run in list(self._runs.items()):
            if until_over and self._inbox.is_over:
                return
            try:
                if run.is_due():
                    run.deliver({PARENT_TAG: self._open(), SWEEP_TAG: self._order.name})
            except Exception:
                self._runs[name] = self._runs.pop(name)
                raise
            if not run.goes_on:
                run.close()
                del self._runs[name]

    def _end(self, ending: Ending) -> None:
        """Tell how the sweep ended, unless nothing has changed since that was told before."""
        directory = RunDirectory(Path(self._order.directory))
        mark = MarkFile(directory.tracker("mlflow")).load(without_credentials(self._order.uri))
        is_same = self._parent_id is None and mark.state == mlflow_state(ending.state)
        if not self._has_ended and not is_same:
            self._open()
            self._parent.deliver_all(ending)
        self._has_ended = True


class RunOfSweep:
    """One run of a sweep, as long as there is something of it to deliver."""

    def __init__(self, path: Path, sweep: Order, connect: Connect) -> None:
        self.state: str | None = None  # the last word on it
        self._directory = RunDirectory(path)
        self._sweep = sweep
        self._address = without_credentials(sweep.uri)
        self._connect = connect
        self._lock = DeliveryLock(self._directory.tracker("mlflow"))
        self._stamp = 0
        self._handover: Handover | None = None
        self._is_told = False
        self._delivery: Delivery | None = None
        self._delivers: Order | None = None  # what `_delivery` was made for

    @property
    def goes_on(self) -> bool:
        """Tell whether nothing is known of its end."""
        return self.state is None

    def hear(self, told: Told) -> None:
        """Take the last word on it, and what is to be delivered if its job left no handover."""
        self.state = told.state
        if told.handover is not None:
            self._handover = handover_of(told.handover)
            self._is_told = True

    def settle(self) -> None:
        """Learn from the run itself how it ended, if nobody told."""
        if self.state is None:
            status = read_status(self._directory)
            if status is None or status.state != "running":
                self.state = "lost" if status is None else status.state

    def is_due(self) -> bool:
        """Tell whether MLflow lacks something; asks the run directory alone."""
        self._read()
        if not self._is_handed_over():
            return self._is_orphan()  # it never began, or delivers for itself
        if self.state is not None:
            return self._lacks(self.state) or self._is_orphan()
        if self._delivery is not None:
            return self._delivery.has_news()
        return has_more(self._directory.journal, offset=self._mark().offset)

    def deliver(self, tags: Mapping[str, str]) -> None:
        """Deliver new rows, or of a run that has ended, all."""
        if not self._is_handed_over() or (self.state is not None and not self._lacks(self.state)):
            return self._adopt(tags)
        assert self._handover is not None
        delivery = self._delivery_of(self._handover.order, tags)
        if self.state is None:
            return delivery.deliver_rows()
        is_agreed = self._handover.state == self.state  # else the files are of a job before
        files = self._handover.model_files if is_agreed else []
        ended_ms = int(stamp_of(self._directory.status) / 1e6)
        ending = Ending(state=self.state, seconds=0.0, model_files=files, ended_ms=ended_ms)
        return delivery.deliver_all(ending)

    def close(self) -> None:
        """Leave the run to other deliveries."""
        self._lock.release()

    def _is_handed_over(self) -> bool:
        return self._handover is not None and self._handover.order.uri == self._address

    def _lacks(self, state: str) -> bool:
        return not is_delivered(self._directory, state, address=self._address)

    def _is_orphan(self) -> bool:
        """Tell whether it has delivered for itself, and ended before the sweep had a run there."""
        mark = self._mark()
        return self.state is not None and mark.run_id is not None and mark.parent is None

    def _adopt(self, tags: Mapping[str, str]) -> None:
        """Show it below the sweep."""
        self._acquire()
        mark = self._mark()
        assert mark.run_id is not None
        self._connect().log(mark.run_id, [], known={}, parameters={}, tags=tags)
        mark.parent = tags[PARENT_TAG]
        MarkFile(self._directory.tracker("mlflow")).save(self._address, mark)

    def _mark(self) -> Mark:
        return MarkFile(self._directory.tracker("mlflow")).load(self._address)

    def _acquire(self) -> None:
        if not self._lock.try_acquire():
            raise RunError(f"another delivery of {self._directory.path} is at work")

    def _read(self) -> None:
        """Read the handover again if a job has written it since."""
        stamp = 0 if self._is_told else stamp_of(handover_path(self._directory))
        if stamp != self._stamp:
            self._handover = read_handover(self._directory)
            self._stamp = stamp

    def _delivery_of(self, order: Order, tags: Mapping[str, str]) -> Delivery:
        if self._delivery is None or self._delivers != order:
            self._acquire()
            self._delivery = Delivery(self._complete(order, tags), self._connect)
            self._delivers = order
        return self._delivery

    def _complete(self, order: Order, tags: Mapping[str, str]) -> Order:
        """Return the order with what its file must not hold, and with what makes it a child."""
        location = self._sweep.artifact_location
        if location is None or without_credentials(location) != order.artifact_location:
            location = order.artifact_location
        return replace(
            order,
            directory=str(self._directory.path),  # the sweep may have been moved since
            uri=self._sweep.uri,
            artifact_location=location,
            tags={**order.tags, **tags},
            sweep=None,  # `tags` tell it
        )


if __name__ == "__main__":
    serve(SweepMirror)
