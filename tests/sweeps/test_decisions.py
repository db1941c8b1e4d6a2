"""What a start of a sweep does with a run."""

import pytest

from runner.run.status import STATES, Status
from runner.sweeps.decisions import Action, decide

EXPECTED = {
    "queued": "run run run",
    "running": "wait wait wait",
    "preempted": "resume resume resume",
    "lost": "resume resume resume",
    "cancelled": "resume resume resume",
    "failed": "retry skip retry",
    "pruned": "skip skip retry",
    "completed": "skip skip skip",
}


@pytest.mark.parametrize("state", STATES)
def test_every_state_is_decided(state: str) -> None:
    status = Status(state=state)
    found = [decide(status, retry=retry).value for retry in ("failed", "none", "all")]
    assert found == EXPECTED[state].split()


def test_a_run_without_a_directory_is_run() -> None:
    assert decide(None, retry="none") is Action.RUN
