"""How jobs end, and which are tried again."""

from pathlib import Path

import pytest

from runner.run.status import Status
from runner.sweeps.outcomes import Attempts, Outcome, is_worth_another, outcome_of, reason_of
from runner.sweeps.pool import Ended


def failed(error: str) -> Status:
    return Status(state="failed", error=error)


@pytest.mark.parametrize(
    ("ended", "status", "outcome"),
    [
        (Ended(number=0, exit_code=0), Status(state="completed"), Outcome.COMPLETED),
        (Ended(number=0, exit_code=0), Status(state="pruned"), Outcome.PRUNED),
        (Ended(number=0, signal=9), Status(state="lost"), Outcome.KILLED),
        (Ended(number=0, signal=9, exceeded="time"), Status(state="lost"), Outcome.TIME_LIMIT),
        (
            Ended(number=0, exit_code=143, exceeded="time"),
            Status(state="preempted"),
            Outcome.TIME_LIMIT,
        ),
        (Ended(number=0, signal=9, exceeded="memory"), None, Outcome.OUT_OF_MEMORY),
        (Ended(number=0, exit_code=143), Status(state="preempted"), Outcome.STOPPED),
        (Ended(number=0, exit_code=143), Status(state="cancelled"), Outcome.CANCELLED),
        (Ended(number=0, signal=9), Status(state="cancelled"), Outcome.CANCELLED),
        (Ended(number=0, exit_code=2), None, Outcome.CONFIG),
        (Ended(number=0, exit_code=1, refusal="no"), failed("WorkerError: x"), Outcome.ERROR),
        (Ended(number=0, exit_code=1), failed("OutOfMemoryError: CUDA"), Outcome.OUT_OF_MEMORY),
        (
            Ended(number=0, exit_code=1),
            failed("RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory"),
            Outcome.OUT_OF_MEMORY,
        ),
        (Ended(number=0, exit_code=1), failed("NonfiniteError: loss=nan"), Outcome.NONFINITE),
        (
            Ended(number=0, exit_code=1),
            failed("RunError: training gave no sign of life for ..."),
            Outcome.HUNG,
        ),
        (Ended(number=0, exit_code=1), failed("KeyError: 'x'"), Outcome.ERROR),
        (Ended(number=0, exit_code=1), None, Outcome.ERROR),
    ],
)
def test_an_end_is_classified(ended: Ended, status: Status | None, outcome: Outcome) -> None:
    assert outcome_of(ended, status) is outcome


def test_a_refusal_is_the_reason() -> None:
    ended = Ended(number=0, exit_code=1, refusal="the cluster refused the jobs: no")
    assert reason_of(Outcome.ERROR, ended, Attempts()) == "the cluster refused the jobs: no"


def tries(outcome: Outcome, steps: list[int]) -> int:
    """Return after how many jobs a run is given up, whose jobs end at these steps."""
    attempts = Attempts()
    for count, step in enumerate(steps, start=1):
        attempts.count(step)
        if not is_worth_another(outcome, attempts, retries=3):
            return count
    return len(steps) + 1


def test_a_killed_run_is_tried_three_times_more() -> None:
    assert tries(Outcome.KILLED, [0] * 9) == 4
    assert tries(Outcome.HUNG, [5] * 9) == 4


def test_a_run_that_gains_steps_is_never_given_up() -> None:
    assert tries(Outcome.KILLED, list(range(1, 20))) == 20
    assert tries(Outcome.TIME_LIMIT, list(range(1, 20))) == 20


def test_a_time_limit_without_a_step_gained_is_the_end() -> None:
    assert tries(Outcome.TIME_LIMIT, [0] * 9) == 2
    assert tries(Outcome.TIME_LIMIT, [5, 9, 9, 9]) == 3


def test_a_time_limit_is_told_once_with_the_keys_of_every_launcher() -> None:
    ended = Ended(number=0, signal=15, exceeded="time")
    assert reason_of(Outcome.TIME_LIMIT, ended, Attempts(without_gain=2)) == (
        "it reached its time limit 2 times without gaining a step: give it more "
        "(hydra.launcher.time_limit; on a cluster hardware.slurm.time_limit)"
    )


@pytest.mark.parametrize(
    "outcome", [Outcome.CONFIG, Outcome.ERROR, Outcome.NONFINITE, Outcome.OUT_OF_MEMORY]
)
def test_what_would_come_again_is_not_tried(outcome: Outcome) -> None:
    assert tries(outcome, [1, 2, 3]) == 1


def test_of_a_job_that_died_before_its_run_the_last_words_are_told(tmp_path: Path) -> None:
    log = tmp_path / "7_0_log.out"
    log.write_text("loading\nmodul: command not found\n\n", encoding="utf-8")
    said = reason_of(Outcome.ERROR, Ended(number=0, exit_code=3, log=log), Attempts())
    assert said == f"its process ended with exit code 3 (modul: command not found): see {log}"
    log.unlink()
    said = reason_of(Outcome.ERROR, Ended(number=0, exit_code=3, log=log), Attempts())
    assert said == f"its process ended with exit code 3: see {log}"
