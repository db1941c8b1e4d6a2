import subprocess
import sys
import threading
import time

import pytest

from runner.checkpoint.writer import BackgroundWriter


def test_an_outcome_is_taken_once_and_when_it_is_there() -> None:
    writer: BackgroundWriter[int] = BackgroundWriter()
    go = threading.Event()

    def work() -> int:
        assert go.wait(10)
        return 5

    assert writer.take(wait=True) is None
    writer.start(work)
    assert writer.take(wait=False) is None
    go.set()
    assert writer.take(wait=True) == 5
    assert writer.take(wait=True) is None


def test_what_the_work_raises_is_raised_where_it_is_taken() -> None:
    writer: BackgroundWriter[float] = BackgroundWriter()
    writer.start(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        writer.take(wait=True)
    assert writer.take(wait=True) is None


@pytest.mark.parametrize("end", ["", "raise SystemExit(1)", "raise KeyboardInterrupt"])
def test_an_interpreter_that_exits_waits_for_the_work(tmp_path, end: str) -> None:
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from runner.checkpoint.writer import BackgroundWriter\n"
        "def work():\n"
        "    time.sleep(0.3)\n"
        "    Path(sys.argv[1]).touch()\n"
        "BackgroundWriter().start(work)\n"
        f"{end}\n"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "done")], check=False, capture_output=True
    )
    assert (tmp_path / "done").exists()


def test_work_that_gets_on_is_a_sign_of_life_of_who_waits() -> None:
    beats: list[str] = []
    writer: BackgroundWriter[str] = BackgroundWriter(
        beat=lambda: beats.append(threading.current_thread().name)
    )

    def work(until: int, *, gets_on: bool) -> str:
        for _ in range(until):
            time.sleep(0.05)
            if gets_on:
                writer.get_on()
        return "done"

    writer.start(lambda: work(20, gets_on=True))
    assert writer.take(wait=True) == "done"
    assert len(beats) >= 3
    assert set(beats) == {threading.main_thread().name}, "a thread that hangs must not be hidden"
    beats.clear()
    writer.start(lambda: work(10, gets_on=False))
    writer.take(wait=True)
    assert beats == [], "what hangs is to be seen"
