"""The question to who leaves jobs on a cluster."""

import io
import os
import signal
import time
from collections.abc import Callable

import pytest

from runner.cli.sweeps.asking import asks_to_cancel


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


class Keyboard(Tty):
    """Answers as `answer` does."""

    def __init__(self, answer: Callable[[], str]) -> None:
        super().__init__()
        self._answer = answer

    def readline(self, size: int = -1, /) -> str:
        return self._answer()


def ask(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[[], str], received: signal.Signals
) -> tuple[bool, str]:
    monkeypatch.setattr("sys.stdin", Keyboard(answer))
    shown = Tty()
    return asks_to_cancel(shown, received), shown.getvalue()


@pytest.mark.parametrize(("answer", "cancels"), [("c\n", True), ("\n", False), ("", False)])
def test_ctrl_c_asks(monkeypatch: pytest.MonkeyPatch, answer: str, cancels: bool) -> None:
    does, shown = ask(monkeypatch, lambda: answer, signal.SIGINT)
    assert does is cancels and "leave what is on the cluster" in shown


@pytest.mark.parametrize("received", [signal.SIGTERM, signal.SIGHUP])
def test_what_a_program_sends_waits_for_no_answer(
    monkeypatch: pytest.MonkeyPatch, received: signal.Signals
) -> None:
    assert ask(monkeypatch, lambda: "c\n", received) == (False, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_the_question(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    def nobody() -> str:
        os.kill(os.getpid(), number)
        time.sleep(10)
        return "c\n"

    heard: list[int] = []
    before = signal.signal(number, lambda number, _: heard.append(number))
    try:
        does, _ = ask(monkeypatch, nobody, signal.SIGINT)
        os.kill(os.getpid(), number)
    finally:
        signal.signal(number, before)
    assert not does and heard == [number]


def test_a_terminal_that_is_gone_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> str:
        raise OSError(5, "Input/output error")

    assert ask(monkeypatch, gone, signal.SIGINT)[0] is False
