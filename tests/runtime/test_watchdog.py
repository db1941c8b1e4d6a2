import threading
import time
import timeit

import pytest

from runner.runtime import watchdog as module
from runner.runtime.watchdog import Watchdog, standing, waits_for_others


class Alarm:
    def __init__(self) -> None:
        self.standing: str | None = None
        self.rang = threading.Event()

    def __call__(self, standing: str) -> None:
        self.standing = standing
        self.rang.set()


def hang_here(alarm: Alarm, seconds: float = 10.0) -> bool:
    return alarm.rang.wait(seconds)


def test_silence_is_told_with_where_the_thread_stands() -> None:
    alarm = Alarm()
    with Watchdog(0.1, alarm):
        assert hang_here(alarm)
    assert alarm.standing is not None
    assert alarm.standing.split(" in ")[1] == "wait"
    assert "threading.py:" in alarm.standing


def test_who_gives_signs_of_life_is_left_alone() -> None:
    alarm = Alarm()
    with Watchdog(0.5, alarm) as watchdog:
        for _ in range(30):
            watchdog.beat()
            time.sleep(0.03)
    assert not alarm.rang.is_set()


def test_who_has_left_is_not_watched() -> None:
    alarm = Alarm()
    with Watchdog(0.1, alarm):
        pass
    assert not alarm.rang.wait(0.4)


def test_without_a_timeout_nothing_is_watched() -> None:
    with Watchdog(None, Alarm()):
        assert not [thread for thread in threading.enumerate() if thread.name == "watchdog"]


def test_who_waits_for_others_is_given_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_COLLECTIVES", (__file__,))
    alarm = Alarm()
    with Watchdog(0.1, alarm):
        assert not hang_here(alarm, 0.5)
    monkeypatch.setattr(module, "patience_seconds", lambda _: 0.1)
    with Watchdog(0.1, alarm):
        assert hang_here(alarm)


def test_a_thread_that_has_ended_stands_nowhere() -> None:
    assert standing(None) == "nowhere"
    assert not waits_for_others(None)


def test_a_sign_of_life_costs_well_under_a_microsecond() -> None:
    watchdog = Watchdog(None, Alarm())
    assert min(timeit.repeat(watchdog.beat, number=10_000, repeat=5)) / 10_000 < 0.5e-6
