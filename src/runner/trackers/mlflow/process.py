"""The delivery process's place in the operating system: how it is started, and how it behaves."""

import contextlib
import io
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote, quote_plus

from runner.run.directory import RunDirectory
from runner.trackers.mlflow.messages import Ending, Order, write_message
from runner.trackers.mlflow.uri import credentials, without_credentials

NICENESS = 10
_SOURCES = Path(__file__).resolve().parents[3]
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # the delivery tries again by itself
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "OMP_NUM_THREADS": "1",
}


def launch_process(module: str, order: Order) -> subprocess.Popen[str]:
    """Start a delivery process, `module` beside this one, and give it its order."""
    environment = _ENVIRONMENT | dict(os.environ)
    return start_process(f"{__package__}.{module}", order, log_of(order), environment)


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


def log_of(order: Order) -> Path:
    """Return where a delivery process tells what went wrong."""
    return RunDirectory(Path(order.directory)).logs / "mlflow.log"


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
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )


def step_back() -> None:
    """Leave the processor to training, for good: for deliveries beside it, not after it."""
    os.nice(NICENESS)


def hide_credentials(uri: str) -> str:
    """Return the address to use, without a password where that is possible; never print it."""
    login = credentials(uri)
    if login is None:
        return uri
    sys.stderr = _Censored(sys.stderr, secret=login[1])
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(sys.stderr)
    if not uri.startswith("http"):
        return uri
    os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"] = login
    return without_credentials(uri)


class _Censored(io.TextIOBase):
    """A stream that writes stars in place of a secret."""

    def __init__(self, stream: TextIO, *, secret: str) -> None:
        self._stream = stream
        self._secrets = {secret, quote(secret, safe=""), quote_plus(secret)}

    def write(self, text: str) -> int:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()
