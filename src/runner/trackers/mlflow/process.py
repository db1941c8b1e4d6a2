"""The delivery processes of MLflow: how they are started, and how they keep a password."""

import io
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import TextIO
from urllib.parse import quote, quote_plus

from runner.run.directory import RunDirectory
from runner.trackers.delivery.process import start_process
from runner.trackers.mlflow.order import Order
from runner.trackers.mlflow.uri import credentials, without_credentials

_ENVIRONMENT = {
    # The delivery tries again by itself, and looks first whether what it asked for was done.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",  # what lies where the user stands is no part of a model
    "OMP_NUM_THREADS": "1",
}


def launch_process(module: str, order: Order) -> subprocess.Popen[str]:
    """Start a delivery process, `module` beside this one, and give it its order."""
    environment = _ENVIRONMENT | dict(os.environ)
    return start_process(f"{__package__}.{module}", order, log_of(order), environment)


def log_of(order: Order) -> Path:
    """Return where a delivery process tells what went wrong."""
    return RunDirectory(Path(order.directory)).logs / "mlflow.log"


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
