"""What squeue, and for jobs that it has forgotten sacct, say of jobs."""

import os
import pwd
import re
import signal
import subprocess
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from runner.errors import RunError
from runner.sweeps.slurm.commands import plain_environment
from runner.sweeps.slurm.reasons import ENDED, ENDED_BY, text_of

TIMEOUT_SECONDS = 30.0
PASSING_SECONDS = 30.0  # after its end Slurm has put a job back into the queue, or will not
SACCT_SECONDS = 60.0  # so long a sacct that does not answer is left alone
_MOST_JOBS_NAMED = 200  # of one squeue call
_MOST_JOBS_OF_SACCT = 2000  # a command line has an end

# The widths are given since older Slurms cut a field without one; no text of a user is among them.
_FIELDS = (
    "JobArrayID:64|,State:32|,Reason:160|,exit_code:16|,RestartCnt:12|,NodeList:200|,EndTime:24|"
)
_SACCT_FIELDS = "jobid,state,exitcode,nodelist,reason,end"
_FINAL = frozenset(ENDED)
_AT_WORK = frozenset({"RUNNING", "COMPLETING", "STAGE_OUT", "SIGNALING", "RESIZING"})
_PASSING = frozenset({"NODE_FAIL", "PREEMPTED", "BOOT_FAIL"})

_sacct_silent_until = 0.0


class QueueUnavailable(RunError):  # noqa: N818 - a state, not a mistake
    """Slurm did not answer this time; another try may succeed."""


@dataclass(frozen=True, kw_only=True)
class QueuedJob:
    """What Slurm says of one job or array task; of one that it knows from sacct restarts are 0.

    Exactly one of `is_waiting`, `is_at_work`, `is_over` holds; a state not known here waits, so
    that no job is taken for dead by mistake.
    """

    id: str  # "123" or "123_4"
    state: str  # Slurm's, in capitals: PENDING, RUNNING, COMPLETED, ...
    reason: str = ""  # Slurm's word for why it waits or failed: "Priority"
    nodes: str = ""  # "node[1-2]"
    exit_code: int | None = None  # of a job that is over; None where it had none of its own
    signal: int | None = None  # which ended it
    restarts: int = 0
    ended_at: float | None = None  # seconds since the epoch; None also where it is not known

    @property
    def is_alive(self) -> bool:
        """Whether it waits, is at work, or may be put back into the queue."""
        return not self.is_over or self.is_passing

    @property
    def is_waiting(self) -> bool:
        return not self.is_at_work and not self.is_over

    @property
    def is_at_work(self) -> bool:
        return self.state in _AT_WORK

    @property
    def is_over(self) -> bool:
        """Whether the state is a final one; where `is_passing`, ask again before believing it.

        Slurm shows NODE_FAIL and PREEMPTED for some seconds before a requeued job is PENDING. Such
        a job is over when it `is_passing` no more. The same doubt is due for 30 s to an id that is
        absent from an answer: a task cancelled while its array waited leaves no trace.
        """
        return self.state in _FINAL

    @property
    def is_passing(self) -> bool:
        """Whether Slurm may yet put the job, shown as ended, back into the queue.

        It does so at once or not at all; sacct shows how such a job ended for ever.
        """
        is_recent = self.ended_at is None or time.time() - self.ended_at < PASSING_SECONDS
        return self.state in _PASSING and is_recent


def read_queue(ids: Collection[str], *, users: Collection[int] = ()) -> dict[str, QueuedJob]:
    """Return what Slurm knows of these jobs and array tasks of `users` (ids; none: mine alone).

    One call of squeue, and one of sacct for what squeue has forgotten (after MinJobAge, 5 minutes
    by default). An id that neither knows is absent, as is one that sacct alone knows and believes
    alive. Where there is no accounting squeue is enough. RunError without squeue; QueueUnavailable
    when the controller does not answer.
    """
    if not ids:
        return {}
    wanted = set(ids)
    users = sorted(set(users or [os.getuid()]))
    found = {job.id: job for job in _squeue(wanted, users) if job.id in wanted}
    missing = wanted - found.keys()
    if missing:
        old = (job for job in _sacct(missing, users) if job.id in missing and job.is_over)
        found |= {job.id: job for job in old}
    return found


def base_of(id: str) -> str:
    """Return the job that an array task is of: "123" of "123_4"."""
    return id.partition("_")[0]


def why(job: QueuedJob) -> str:
    """Return in a sentence where a job is, why, and what to do about it."""
    if job.is_over:
        return _end_of(job)
    if job.is_at_work:
        place = f" on {job.nodes}" if job.nodes else ""
        return f"{job.state.lower()}{place}"
    if job.state == "CONFIGURING":
        return f"configuring: {job.nodes or 'its node'} is being started"
    if job.state in ("SUSPENDED", "STOPPED"):
        return f"{job.state.lower()}: it keeps its place{f' on {job.nodes}' if job.nodes else ''}"
    text, name = text_of(job.reason), job.state.lower()
    if text is None:
        return f"{name}: {job.reason}"
    return f"{name}: {text.format(job=job.id)}{f' ({job.reason})' if job.reason else ''}"


def run_slurm(command: Sequence[str], *, seconds: float = TIMEOUT_SECONDS) -> str:
    """Return what one of Slurm's commands prints.

    RunError where it is not installed; QueueUnavailable, with its own last words, if it fails or
    does not end within `seconds`.
    """
    try:
        done = subprocess.run(
            command,
            env=plain_environment(),
            start_new_session=True,  # Ctrl-C is not for it
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError as error:
        raise RunError(
            f"{command[0]} is not on this machine: jobs on a cluster are seen from a login node"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise QueueUnavailable(
            f"{command[0]} did not answer within {seconds:g} s: the cluster's controller is busy "
            "or down, try again later"
        ) from error
    if done.returncode != 0:
        words = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise QueueUnavailable(f"{command[0]} failed: {words[-1]}")
    return done.stdout


def _squeue(ids: Collection[str], users: Collection[int]) -> Iterator[QueuedJob]:
    command = ["squeue", "--all", "--noheader", "--array", "--states=all", f"--Format={_FIELDS}"]
    try:
        printed = run_slurm([*command, *_selection(ids, users)])
    except QueueUnavailable as error:
        if "Invalid job id" not in str(error):  # the one job that was asked for is gone
            raise
        return
    for line in printed.splitlines():
        fields = [field.strip() for field in line.split("|")]
        if len(fields) >= 6:  # others are headings, of several clusters
            yield from _jobs(
                *(fields[0], fields[1], fields[2], fields[5], fields[3]),
                end=(fields[6:] or [""])[0],
                restarts=fields[4],
            )


def _selection(ids: Collection[str], users: Collection[int]) -> list[str]:
    """Return the options that keep the answer small: the controller sends what they leave."""
    bases = sorted({base_of(id) for id in ids})
    options = []
    if len(bases) > 1 and _are_known(users):
        options.append(f"--user={_comma(users)}")
    if len(bases) <= _MOST_JOBS_NAMED:
        options.append(f"--jobs={','.join(bases)}")
    return options


def _comma(users: Collection[int]) -> str:
    return ",".join(str(user) for user in users)


def _are_known(users: Collection[int]) -> bool:
    try:
        for user in users:
            pwd.getpwuid(user)
    except KeyError:  # in a container; squeue would print nothing and not fail
        return False
    return True


def _sacct(ids: Collection[str], users: Collection[int]) -> Iterator[QueuedJob]:
    """Yield what the accounting knows; nothing where there is none."""
    global _sacct_silent_until
    if time.monotonic() < _sacct_silent_until:
        return
    bases = sorted({base_of(id) for id in ids})
    who = [f"--user={_comma(users)}"] if _are_known(users) else ["--allusers"]
    command = ["sacct", "-X", "-n", "-P", f"--format={_SACCT_FIELDS}", *who]
    for start in range(0, len(bases), _MOST_JOBS_OF_SACCT):
        part = bases[start : start + _MOST_JOBS_OF_SACCT]
        try:
            printed = run_slurm([*command, f"--jobs={','.join(part)}"])
        except RunError:
            _sacct_silent_until = time.monotonic() + SACCT_SECONDS
            return
        for line in printed.splitlines():
            fields = [field.strip() for field in line.split("|")]
            if len(fields) >= 5:
                yield from _jobs(
                    *(fields[0], fields[1], fields[4], fields[3], fields[2]),
                    end=(fields[5:] or [""])[0],
                )


def _jobs(
    id: str, state: str, reason: str, nodes: str, code: str, *, end: str, restarts: str = ""
) -> Iterator[QueuedJob]:
    """Yield the jobs of one line; several where Slurm has not taken an array apart: "7_[0-3]"."""
    word = (state.split() or [""])[0].rstrip("+").upper()  # "CANCELLED by 1000"
    exit_code, ended_by = _exit_of(code, word)
    for one in _each(id):
        yield QueuedJob(
            id=one,
            state=word,
            reason="" if reason in ("None", "N/A") else reason,
            nodes="" if nodes in ("None assigned", "(null)", "n/a") else nodes,
            exit_code=exit_code,
            signal=ended_by,
            restarts=int(restarts) if restarts.isdecimal() else 0,
            ended_at=_seconds_of(end) if word in _FINAL else None,  # else the end that is planned
        )


def _each(id: str) -> Iterable[str]:
    base, _, tasks = id.partition("_")
    if not tasks.startswith("["):
        return (id,)
    ranges = re.findall(r"(\d+)(?:-(\d+))?(?::(\d+))?", tasks.partition("%")[0])
    return (
        f"{base}_{number}"
        for first, last, step in ranges
        for number in range(int(first), int(last or first) + 1, int(step or 1))
    )


def _exit_of(code: str, state: str) -> tuple[int | None, int | None]:
    """Return (exit code, signal) from sacct's "3:0" or squeue's wait status.

    Slurm gives jobs that it ended the code 0 and out-of-memory ones a signal that does not exist.
    """
    if state not in _FINAL:
        return None, None
    if ":" in code:
        exit_code, number = (int(part) if part.isdecimal() else 0 for part in code.split(":")[:2])
    else:
        status = int(code) if code.isdecimal() else 0
        exit_code, number = status >> 8 & 0xFF, status & 0x7F
    has_code = not number and (exit_code or state == "COMPLETED")
    return (exit_code if has_code else None), (number if number in _signals() else None)


def _seconds_of(time: str) -> float | None:
    """Return a time as Slurm writes it, the clock of this place, in seconds since the epoch."""
    try:
        return datetime.fromisoformat(time).timestamp()
    except ValueError:  # "N/A", "Unknown"
        return None


def _signals() -> frozenset[int]:
    return frozenset(int(number) for number in signal.valid_signals())


def _end_of(job: QueuedJob) -> str:
    text = ENDED[job.state]
    if job.state != "FAILED":
        return text
    if job.signal is not None:
        text = f"ended by {_name(job.signal)}"
    elif job.exit_code:
        text = f"failed with exit code {job.exit_code}"
    meaning = ENDED_BY.get(job.reason)
    return f"{text}: {meaning} ({job.reason})" if meaning else text


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time one
        return f"signal {number}"
