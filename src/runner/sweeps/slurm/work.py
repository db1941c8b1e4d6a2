"""`SlurmWork`: what submitit's process calls on a node, for each task of a job.

    set sys.path, print to the run's own log (rank 0), load the work, do it
    done            return: Slurm says COMPLETED
    asked to stop   it has saved: come back, unless a person has cancelled the job
    failed          leave with its exit code: Slurm says FAILED; come back if a node was at fault

Rank 0 decides; the others leave without an error, since srun ends all for the first that fails. In
here the handlers of signals are not submitit's: a job is brought back when nothing is left to do
for it, trackers included, because Slurm ends the processes of a job that it is told to requeue.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import NoReturn

import cloudpickle

from runner.errors import Interrupted
from runner.run.directory import RunDirectory
from runner.run.ending import give_up_run, interrupt_run
from runner.run.secrets import print_traceback
from runner.run.status import Status, read_raw_status
from runner.runtime.signals import STOP_SIGNALS
from runner.sweeps.slurm.comeback import come_back, crash_loop, tell
from runner.sweeps.slurm.leaving import (
    Intent,
    JobOfCluster,
    avoid_node,
    intent_for,
    is_fault_of_node,
    may_pass,
    node_of_rank,
    rank_that_failed,
    requeue,
)

GRACE_SECONDS = 20  # for rank 0, to write down why another one failed
_WAITING = "trap 'kill $!; exit {code}' TERM; sleep {seconds} & wait; exit {code}"


@dataclass(frozen=True, kw_only=True)
class SlurmWork:
    """Does pickled work as a task of a job of Slurm, and lets the job come back where it should."""

    work: bytes = field(repr=False)  # a cloudpickled callable that returns its exit code
    path: tuple[str, ...]  # sys.path, for that
    log: Path  # what rank 0 prints is appended to it
    run: Path | None = None  # the directory of the run that the work trains
    retries: int = 5  # starts in a row that gain no step

    def __call__(self) -> None:
        """Do the work; raise SystemExit with its exit code, 0 if the job comes back."""
        rank = int(os.environ.get("SLURM_PROCID", 0))
        if self._is_over():  # by an earlier start, which Slurm did not see end
            return
        if rank > 0:
            self._leave_to_rank_0(self._do())
            return
        with _printing_to(self.log), _watching_the_clock(self):
            code = self._do()
            if code == 0 or self._is_over():  # what comes behind the last word is no matter
                return
            is_back = self._comes_back(code)
        sys.exit(0 if is_back else code)

    def checkpoint(self) -> object:
        """Return what submitit is to start again, after a signal before the work was begun.

        None, with the reason in the status of the run, if the starts of the job get nowhere.
        """
        from submitit.helpers import DelayedSubmission

        job = JobOfCluster.from_environment()
        reason = crash_loop(job, self.run, retries=self.retries, how="was stopped at once")
        if reason is None:
            return DelayedSubmission(self)
        if self.run is not None:
            give_up_run(RunDirectory(self.run), reason)
        return None

    def _do(self) -> int:
        """Do the work and return its exit code; after a stop that of the stop, whatever it led to.

        An import that is interrupted may fail by another error, and so may what follows a stop.
        """
        heard: list[int] = []
        try:
            with _stops_raised(heard):
                code = self._exit_code()
        except Interrupted as stop:  # just behind its last word
            return stop.exit_code
        return 128 + heard[0] if heard and code else code

    def _exit_code(self) -> int:
        """Do the work; what it raises is told as an interpreter tells it."""
        try:
            sys.path[:] = dict.fromkeys(
                [*self.path, *sys.path]
            )  # also what set-up lines have added
            return int(cloudpickle.loads(self.work)() or 0)
        except Interrupted as stop:
            return stop.exit_code
        except SystemExit as leaving:
            if leaving.code is None or isinstance(leaving.code, int):
                return leaving.code or 0
            tell(str(leaving.code))
        except BaseException as error:
            print_traceback(error)
        return 1

    def _leave_to_rank_0(self, code: int) -> None:
        """Leave as a rank that does not decide: after a stop in peace, after a failure last."""
        if code == 0:
            return
        if not _is_stop(code):
            _wait_for_rank_0(code)
        sys.exit(0)

    def _comes_back(self, code: int) -> bool:
        job, status = JobOfCluster.from_environment(), self._status()
        if _is_stop(code):
            is_saved = status is not None and status.state == "preempted"
            return come_back(
                job,
                self.run,
                retries=self.retries,
                how=f"was stopped by {signal.Signals(code - 128).name}",
                step=status.step if status is not None and is_saved else None,
            )
        error = (status.error if status is not None and status.state == "failed" else None) or ""
        if self.run is None or not may_pass(error):
            return False
        run, how = RunDirectory(self.run), f"failed by what may pass ({error})"
        interrupt_run(run)  # before it is requeued: Slurm ends this process then
        if not come_back(job, self.run, retries=self.retries, how=how):
            if (status := read_raw_status(run.status)) and status.state == "preempted":
                give_up_run(run, error)
            return False
        if is_fault_of_node(error) and (node := node_of_rank(rank_that_failed(error))) is not None:
            tell(f"from now on without {node}" if avoid_node(job, node) else f"perhaps on {node}")
        return True

    def _status(self) -> Status | None:
        return None if self.run is None else read_raw_status(RunDirectory(self.run).status)

    def _is_over(self) -> bool:
        status = self._status()
        return status is not None and status.state in ("completed", "pruned")


def _wait_for_rank_0(code: int) -> NoReturn:
    """Stay a task of srun, and let go of all else, connections to other ranks too: they notice.

    srun ends this with a SIGTERM when rank 0 has left; and all others when this has.
    """
    for path in Path("/dev/fd").iterdir():
        with suppress(OSError):  # what listed them is closed by now
            os.set_inheritable(number := int(path.name), number <= 2)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # sh cannot trap what is ignored
    os.execv("/bin/sh", ["sh", "-c", _WAITING.format(code=code, seconds=GRACE_SECONDS)])


def _is_stop(code: int) -> bool:
    return code - 128 in STOP_SIGNALS


@contextmanager
def _stops_raised(heard: list[int]) -> Iterator[None]:
    """Within, a stop signal is `heard`, and raises Interrupted where the work does not handle it.

    That is before it trains, and when what trained hands the signal on, having saved. Behind, they
    are ignored: the job leaves, and Slurm sends more of them while it ends a job.
    """

    def leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        heard.append(number)
        raise Interrupted(number)

    signal.signal(signal.SIGCONT, signal.SIG_DFL)
    for number in STOP_SIGNALS:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def _watching_the_clock(work: SlurmWork) -> Iterator[None]:
    """Within, ask for the job again as soon as Slurm ends it for its time.

    Slurm sends SIGTERM then, and SIGKILL soon after. Python handles a signal between two of its
    instructions, which may be too late in a long step; a thread hears of it at once.
    """
    heard, told = os.pipe()
    os.set_blocking(told, False)
    threading.Thread(target=_ask_back, args=(work, heard), daemon=True).start()
    before = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(told)


def _ask_back(work: SlurmWork, heard: int) -> None:
    job = JobOfCluster.from_environment()
    while numbers := os.read(heard, 64):
        intent = intent_for(job) if signal.SIGTERM in numbers else Intent.NONE
        if intent in (Intent.END, Intent.TAKE):
            how, is_taken = "reached its end", intent is Intent.TAKE
            if is_taken or crash_loop(job, work.run, retries=work.retries, how=how) is None:
                requeue(job)
            return


@contextmanager
def _printing_to(path: Path) -> Iterator[None]:
    """Append what this process prints to the file at `path`, until the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = [os.dup(number) for number in (1, 2)]
    with path.open("ab", buffering=0) as file:
        _redirect([file.fileno()] * 2)
    try:
        yield
    finally:
        _redirect(before)
        for number in before:
            os.close(number)


def _redirect(files: list[int]) -> None:
    for stream, number, file in zip((sys.stdout, sys.stderr), (1, 2), files, strict=True):
        stream.flush()
        os.dup2(file, number)
