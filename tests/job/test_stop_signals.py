"""Each signal, in a step, in a save and in an evaluation: saved, left, and continued exactly."""

import signal
from pathlib import Path

import pytest

from runner.errors import Interrupted
from runner.run.directory import RunDirectory
from runner.run.status import read_status
from runner.runtime.signals import STOP_SIGNALS
from tests.job.places import PLACES, Fault, assert_ends_like, options, send
from tests.training.harness import train


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("straight")
    train(path, options())
    return path


def resumed_at(path: Path) -> int:
    log = (path / "logs" / "rank_0.log").read_text()
    return int(log.rpartition("resumed step=")[2].split()[0])


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_saves_and_stops_and_the_next_job_repeats_no_step(
    tmp_path: Path,
    straight: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    place: str,
) -> None:
    fault = Fault(place, send(number))
    fault.strike_in_a_save(monkeypatch)
    with pytest.raises(Interrupted) as stopped:
        train(tmp_path, options(), callbacks={"fault": fault})
    assert stopped.value.exit_code == 128 + number
    status = read_status(RunDirectory(tmp_path))
    assert status is not None and status.state == "preempted"
    assert_ends_like(straight, tmp_path)
    assert resumed_at(tmp_path) == status.step


@pytest.mark.parametrize("place", PLACES)
def test_a_second_interrupt_stops_at_once_and_loses_nothing_that_was_saved(
    tmp_path: Path, straight: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    fault = Fault(place, send(signal.SIGINT, times=2))
    fault.strike_in_a_save(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, options(), callbacks={"fault": fault})
    status = read_status(RunDirectory(tmp_path))
    assert status is not None and status.state == "cancelled"
    assert_ends_like(straight, tmp_path)
