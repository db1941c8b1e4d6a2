import os
import signal

import pytest

from runner.runtime.signals import STOP_SIGNALS, StopRequests


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_asks_for_a_stop_and_the_old_handler_comes_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with StopRequests() as stop:
        assert stop.received is None
        os.kill(os.getpid(), number)
        assert stop.received == number
    assert signal.getsignal(number) is before


def test_a_second_interrupt_stops_at_once() -> None:
    with StopRequests() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert stop.received == signal.SIGINT


def test_the_handler_that_was_there_is_called_when_all_is_saved() -> None:
    called: list[int] = []
    before = signal.signal(signal.SIGUSR2, lambda number, _: called.append(number))
    try:
        with StopRequests() as stop:
            os.kill(os.getpid(), signal.SIGUSR2)
            assert called == []
            stop.forward()
        assert called == [signal.SIGUSR2]
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_an_abandoned_job_knows_why() -> None:
    stop = StopRequests()
    assert stop.abandoned is None
    stop.abandon("another job has the directory")
    assert stop.abandoned == "another job has the directory"
    assert stop.received is None
