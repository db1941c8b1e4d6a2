import os

import pytest

from runner.trackers.delivery import following as process
from runner.trackers.delivery.following import end, follow
from runner.trackers.delivery.messages import PARENT_DIED, Ending

COMPLETED = Ending(state="completed", seconds=5.0)


class FakeInbox:
    """Gives no ending until it was asked `waits` times."""

    def __init__(self, waits):
        self.pauses = []
        self._waits = waits
        self._ending = COMPLETED

    def wait(self, seconds):
        self.pauses.append(seconds)
        return self._ending if len(self.pauses) > self._waits else None

    def parent_died(self):
        self._waits, self._ending = 0, Ending(state=PARENT_DIED, seconds=1.0)


class FakeDelivery:
    """Fails as often as told, then succeeds."""

    def __init__(self, *, failures=0, news=True):
        self.attempts = 0
        self._failures = failures
        self._news = news

    def has_news(self):
        return self._news

    def deliver_rows(self):
        self.attempts += 1
        if self.attempts <= self._failures:
            raise ConnectionError(f"attempt {self.attempts}")

    def deliver_all(self, ending):
        self.deliver_rows()


@pytest.fixture
def steps_back(monkeypatch):
    calls = []
    monkeypatch.setattr(process, "step_back", lambda: calls.append(1))
    return calls


def test_nothing_is_delivered_while_training_warms_up(steps_back):
    delivery = FakeDelivery()
    assert follow(delivery, FakeInbox(5), parent=os.getppid()) == COMPLETED
    assert delivery.attempts == 0
    assert not steps_back


def test_rows_are_delivered_beside_training_at_low_priority(monkeypatch, steps_back):
    monkeypatch.setattr(process, "FIRST_DELIVERY_SECONDS", 0.0)
    delivery = FakeDelivery()
    follow(delivery, FakeInbox(3), parent=os.getppid())
    assert delivery.attempts == 3
    assert steps_back == [1]


def test_without_news_nothing_is_asked_of_the_server(monkeypatch, steps_back):
    monkeypatch.setattr(process, "FIRST_DELIVERY_SECONDS", 0.0)
    delivery = FakeDelivery(news=False)
    follow(delivery, FakeInbox(3), parent=os.getppid())
    assert delivery.attempts == 0


def test_after_failures_the_pauses_grow_until_it_succeeds(monkeypatch, steps_back):
    monkeypatch.setattr(process, "FIRST_DELIVERY_SECONDS", 0.0)
    inbox = FakeInbox(7)
    follow(FakeDelivery(failures=5), inbox, parent=os.getppid())
    first, *growing, settled, last = inbox.pauses
    assert (first, settled, last) == (5.0, 5.0, 5.0)
    for pause, before in zip(growing, inbox.pauses, strict=False):
        most = min(2 * before, process.MAX_PAUSE_SECONDS)
        assert 0.75 * most <= pause <= most
    assert len(growing) == 5
    assert len(set(growing)) == 5  # two runs of one server do not come back together


def test_a_parent_that_is_gone_ends_it_though_the_pipe_is_open(steps_back):
    inbox = FakeInbox(100)
    assert follow(FakeDelivery(), inbox, parent=-1).state == PARENT_DIED


def test_at_the_end_it_tries_again_within_the_time(monkeypatch):
    monkeypatch.setattr(process, "RETRY_AT_END_SECONDS", 0.01)
    delivery = FakeDelivery(failures=3)
    assert end(delivery, COMPLETED)
    assert delivery.attempts == 4


def test_at_the_end_it_gives_up_in_time(monkeypatch):
    monkeypatch.setattr(process.threading, "Timer", _NoTimer)
    assert not end(FakeDelivery(failures=100), Ending(state="failed", seconds=0.1))


class _NoTimer:
    """The watchdog ends the process: not the one that tests."""

    def __init__(self, *args, **kwargs): ...

    def start(self): ...

    def cancel(self): ...
