"""What jobs left undone is delivered later: `python -m runner sync`.

The marks beside each run say what a server has; where it has all, nothing is asked of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from runner.run.directory import RunDirectory
from runner.run.status import read_status
from runner.trackers.delivery.child import DeliveryChild
from runner.trackers.delivery.lock import DeliveryLock
from runner.trackers.delivery.messages import Ending
from runner.trackers.journal_tail import count_rows
from runner.trackers.mlflow.evaluations import unreadable
from runner.trackers.mlflow.handover import (
    Handover,
    censored,
    is_delivered,
    read_handover,
    stamp_of,
)
from runner.trackers.mlflow.home import original_of
from runner.trackers.mlflow.mark import Mark, MarkFile
from runner.trackers.mlflow.order import Order
from runner.trackers.mlflow.process import launch_process, log_of
from runner.trackers.mlflow.states import mlflow_state
from runner.trackers.mlflow.uri import without_credentials
from runner.trackers.tracker import Synced

_BUSY = "another process delivers it"


@dataclass(frozen=True, kw_only=True)
class LateRun:
    """A run as it stands, and what is to be delivered of it."""

    directory: RunDirectory
    handover: Handover
    state: str

    def lacks(self, address: str) -> bool:
        """Tell whether the server at `address` has not all of it."""
        return not is_delivered(self.directory, self.state, address=address)

    def rows(self, address: str) -> tuple[int, int]:
        """Return how many rows it has, and how many of these the server lacks."""
        mark = _mark(self.directory, address)
        journal = self.directory.journal
        return count_rows(journal), count_rows(journal, offset=mark.offset)


def sync_run(order: Order, state: str, model_files: list[str], *, seconds: float) -> Synced:
    """Deliver a single run, in a process of its own; again as long as that gets further."""
    directory = RunDirectory(Path(order.directory))
    run = LateRun(directory=directory, handover=Handover(order=order), state=state)
    address = without_credentials(order.uri)
    ended_ms = int(stamp_of(directory.status) / 1e6)
    ending = Ending(
        state=state, seconds=seconds, model_files=model_files, ended_ms=ended_ms, is_late=True
    )

    original = original_of(_mark(directory, address), directory, address)

    def deliver() -> str:
        faults: list[str] = []
        launch = partial(launch_process, "run_process", order)
        child = DeliveryChild(launch, lambda error: faults.append(str(error)))
        return "" if child.finish(ending) else problem_of(order, seconds, "".join(faults))

    synced = _sync(order, [run], deliver, is_behind=run.lacks(address))
    return _with_notes(synced, unreadable(directory, _mark(directory, address)), original)


def _with_notes(synced: Synced, left_out: Sequence[str], original: Path | None) -> Synced:
    """Add what else is to be told of a run that was delivered."""
    notes = [f"left out: {'; '.join(left_out)}"] if left_out else []
    if original is not None and synced.has_told:
        notes.append(f"it is a copy of {original}, and has an MLflow run of its own")
    if not notes or synced.problem or synced.note:
        return synced
    rows = f"{synced.new} rows delivered, {synced.there} were there"
    return replace(synced, note="; ".join([rows, *notes]))


def sync_sweep_at(
    order: Order,
    runs: Sequence[LateRun],
    deliver: Callable[[Sequence[LateRun]], str],
    *,
    state: str,
) -> Synced:
    """Deliver those of `runs` of which something is missing, and how the sweep stands.

    `deliver` does it for the runs it is given, and returns why it did not, "" if it did.
    """
    directory, address = RunDirectory(Path(order.directory)), without_credentials(order.uri)
    runs = [run for run in runs if run.handover.order.uri == address]  # others go elsewhere
    mark = _mark(directory, address)
    is_told = mark.state == mlflow_state(state) or mark.state in ("FINISHED", "FAILED", "KILLED")
    is_behind = not is_told or any(_is_due(run, address) for run in runs)
    return _sync(
        order,
        runs,
        lambda: deliver([run for run in runs if _is_due(run, address)] or runs[:1]),
        is_behind=is_behind and bool(runs),
    )


def late_run(directory: RunDirectory, order: Order, files: Sequence[Path]) -> LateRun:
    """Return what is to be delivered of a run: what its job has handed over, or `order`."""
    status, handover = read_status(directory), read_handover(directory)
    state = "lost" if status is None else status.state
    if handover is None or handover.order.uri != without_credentials(order.uri):
        names = [str(path.absolute()) for path in files]
        handover = censored(Handover(order=order, state=state, model_files=names))
    return LateRun(directory=directory, handover=handover, state=state)


def place_of(order: Order) -> str:
    """Return where it goes, as a user calls that."""
    return f"MLflow at {without_credentials(order.uri)}"


def problem_of(order: Order, seconds: float, reasons: str = "") -> str:
    """Return a sentence about a server that did not take all."""
    return (
        f"{place_of(order)} did not take all within {seconds:g} s: if it can be reached, call sync "
        f"again, nothing is lost (reasons: {reasons or log_of(order)})"
    )


def _is_due(run: LateRun, address: str) -> bool:
    is_whole = not run.lacks(address) and _mark(run.directory, address).parent is not None
    return not is_whole and _is_free(run.directory)


def _sync(
    order: Order,
    runs: Sequence[LateRun],
    deliver: Callable[[], str],
    *,
    is_behind: bool,
) -> Synced:
    directory, address = RunDirectory(Path(order.directory)), without_credentials(order.uri)
    place = place_of(order)
    total, lacking = _rows(runs, address)
    if not is_behind:
        return Synced(place=place, there=total)
    if not _is_free(directory):
        return Synced(place=place, there=total - lacking, note=_BUSY)
    before, problem = _standing(directory, runs, address), deliver()
    while problem and (now := _standing(directory, runs, address)) != before:
        before, problem = now, deliver()
    left = _rows(runs, address)[1]
    return Synced(
        place=place,
        there=total - lacking,
        new=max(0, lacking - left),
        has_told=not problem,
        problem=problem,
    )


def _rows(runs: Sequence[LateRun], address: str) -> tuple[int, int]:
    counts = [run.rows(address) for run in runs]
    return sum(total for total, _ in counts), sum(lacking for _, lacking in counts)


def _standing(
    directory: RunDirectory, runs: Sequence[LateRun], address: str
) -> list[tuple[object, ...]]:
    """Return what changes when something arrives."""
    marks = [_mark(place, address) for place in (directory, *(run.directory for run in runs))]
    return [
        (mark.run_id, mark.state, mark.rows, len(mark.artifacts), mark.model, mark.registered)
        for mark in marks
    ]


def _is_free(directory: RunDirectory) -> bool:
    lock = DeliveryLock(directory.tracker("mlflow"))
    is_free = lock.try_acquire()
    lock.release()
    return is_free


def _mark(directory: RunDirectory, address: str) -> Mark:
    return MarkFile(directory.tracker("mlflow")).load(address)
