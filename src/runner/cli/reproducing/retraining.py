"""The process in which `reproduce` trains: with the code of then, and ended with its parent."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import runner
from runner.cli.reproducing.rerun import CodeOfThen
from runner.errors import Interrupted, RunError
from runner.run.directory import RunDirectory
from runner.run.surroundings import environment_of_then
from runner.runtime.signals import STOP_AFTER_STEP, StopRequests

_LOOK_EVERY_SECONDS = 0.1
_CONF = "RUNNER_CONFIG_DIR"
_PR_SET_PDEATHSIG = 1


def train_again(
    again: RunDirectory,
    code: CodeOfThen,
    provenance: Mapping[str, Any],
    *,
    overrides: Sequence[str],
    until: int | None,
    after_step: int | None = None,
) -> None:
    """Train the config in `again` with the code of then, until it has logged all up to `until`.

    It is asked to stop after the step `after_step`. A runner of then that does not know that is
    stopped as soon as it has logged more than was asked for. A signal to this process is one to the
    training. Raises RunError when that fails, and Interrupted when it was ended.
    """
    command = [sys.executable, "-m", "runner", "resume", str(again.path), *overrides]
    environment = _environment(code, provenance)
    environment.pop(STOP_AFTER_STEP, None)
    if after_step is not None:
        environment[STOP_AFTER_STEP] = str(after_step)
    sys.stdout.flush()  # what was told stands before what the training tells
    with StopRequests() as stop:
        process = subprocess.Popen(
            command,
            cwd=code.working_directory,
            env=environment,
            preexec_fn=_ended_with_parent(),
        )
        is_stopped = _watch(process, again.journal, until, stop)
    if stop.received is not None:
        raise Interrupted(stop.received)
    is_stopped |= after_step is not None and process.returncode == 128 + signal.SIGTERM
    if process.returncode and not is_stopped:
        raise RunError(
            f"the training of then does not go through here: exit code {process.returncode}; its "
            f"words are above, its log is in {again.logs}"
        )


def _watch(
    process: subprocess.Popen[bytes], journal: Path, until: int | None, stop: StopRequests
) -> bool:
    """Wait for the end; return whether the training had to be stopped, all up to `until` done."""
    is_stopped = False
    try:
        while process.poll() is None and stop.received is None:
            if until is not None and not is_stopped and _last_step(journal) > until:
                process.send_signal(signal.SIGTERM)  # all up to there is written
                is_stopped = True
            time.sleep(_LOOK_EVERY_SECONDS)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)  # it saves before it leaves
            process.wait()
    return is_stopped


def _ended_with_parent() -> Callable[[], None] | None:
    """Return what lets a new process end when this one is killed; None where no system does it."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def prepare() -> None:  # between fork and exec: nothing but calls of the system
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)

    return prepare


def _environment(code: CodeOfThen, provenance: Mapping[str, Any]) -> dict[str, str]:
    environment = environment_of_then(provenance, os.environ)
    environment.pop("RUNNER_CODE", None)
    package = Path(runner.__file__).parents[1]
    own = [] if "site-packages" in package.parts else [str(package)]
    before = [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part]
    entries = [*map(str, code.path), *before, *own]
    environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(entries))
    conf = provenance.get("environment", {}).get(_CONF) or environment.get(_CONF)
    if conf and code.copy is not None:
        moved = (_moved(part, code, provenance) for part in conf.split(os.pathsep))
        environment[_CONF] = os.pathsep.join(moved)
    return environment


def _moved(place: str, code: CodeOfThen, provenance: Mapping[str, Any]) -> str:
    """Return the folder of the copy for a folder of the repository."""
    root = provenance.get("source", {}).get("repository")
    if root is None or code.copy is None or not Path(place).is_relative_to(root):
        return place
    return str(code.copy / Path(place).relative_to(root))


def _last_step(journal: Path) -> int:
    """Return the step of the last whole line of a journal that is being written; -1 without one."""
    try:
        with journal.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - (1 << 16)))
            lines = file.read().split(b"\n")
        return json.loads(lines[-2])["step"]
    except (OSError, ValueError, IndexError, KeyError):
        return -1
