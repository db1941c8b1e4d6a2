"""The delivery process's place in the operating system: how it is started, and how it behaves."""

import io
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TextIO
from urllib.parse import quote, quote_plus

from runner.trackers.mlflow.uri import credentials, without_credentials

NICENESS = 10
_SOURCES = Path(__file__).resolve().parents[2]
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # the delivery tries again by itself
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "OMP_NUM_THREADS": "1",
}


def start_process(log: TextIO) -> subprocess.Popen[str]:
    """Start the delivery process with a pipe to its standard input.

    Its own process group, so that Ctrl-C, which means "save and stop", does not reach it; the same
    session, so that its low priority counts (Linux groups priorities by session).
    """
    path = os.pathsep.join(filter(None, [str(_SOURCES), os.environ.get("PYTHONPATH")]))
    environment = _ENVIRONMENT | dict(os.environ) | {"PYTHONPATH": path}
    return subprocess.Popen(
        # -P: the folder where the user stands may hold an mlflow.py of its own
        [sys.executable, "-P", "-m", "runner.trackers.mlflow.delivery"],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=environment,
        process_group=0,
        text=True,
        encoding="utf-8",
    )


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
