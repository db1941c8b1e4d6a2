"""The delivery process's place in the operating system: how it is started, and how it behaves."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.run.secrets import RedactingFormatter
from runner.trackers.delivery.messages import Ending, write_message

NICENESS = 10
_SOURCES = Path(__file__).resolve().parents[3]


def start_process(
    module: str, order: Any, log_path: Path, environment: Mapping[str, str]
) -> subprocess.Popen[str]:
    """Start `module` as a process that writes to a log, and give it `order`, a dataclass.

    Its own process group, so that Ctrl-C, which means "save and stop", does not reach it; the same
    session, so that its low priority counts (Linux groups priorities by session).
    """
    path = os.pathsep.join(filter(None, [str(_SOURCES), os.environ.get("PYTHONPATH")]))
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("a", encoding="utf-8") as log:
        process = subprocess.Popen(
            # -P: the folder where the user stands may hold an mlflow.py of its own
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**environment, "PYTHONPATH": path},
            process_group=0,
            text=True,
            encoding="utf-8",
        )
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it died at once: found when it is to end
        write_message(process.stdin, order)
    return process


def finish_process(process: subprocess.Popen[str], ending: Ending) -> bool | None:
    """Return whether it says, in the time of `ending`, that all arrived; None if it had died."""
    assert process.stdin is not None
    try:
        write_message(process.stdin, ending)
        exit_code = process.wait(timeout=ending.seconds)
    except subprocess.TimeoutExpired:
        return False
    except OSError:
        return None
    finally:
        end_process(process)
    return None if exit_code < 0 else exit_code == 0


def end_process(process: subprocess.Popen[str]) -> None:
    """Leave no process behind, whatever happened."""
    process.kill()
    process.wait()
    if process.stdin is not None:
        with contextlib.suppress(OSError):  # what was left in the pipe has no reader any more
            process.stdin.close()


def prepare_process() -> None:
    """Outlive the signals that stop training: the pipe says when to end."""
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGHUP,
        signal.SIGUSR1,
        signal.SIGUSR2,
    ):
        signal.signal(number, signal.SIG_IGN)
    log = logging.StreamHandler(sys.stderr)
    log.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[log])


def step_back() -> None:
    """Leave the processor to training, for good: for deliveries beside it, not after it."""
    os.nice(NICENESS)
