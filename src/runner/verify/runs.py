"""The runs of a verification, each in processes of their own: straight, straight again, killed."""

import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import psutil

from runner.config.targets import TARGET, TargetError, locate
from runner.config.written import to_yaml
from runner.errors import RunError
from runner.files import write_text_atomically
from runner.protocols import Stateful
from runner.run.directory import RunDirectory
from runner.run.signature import sign
from runner.run.status import read_status
from runner.verify.recording import RecordSteps, RecordUpdate, recorded
from runner.verify.trace import Trace, has_line, read_traces

MIN_STEPS = 3
_OURS = "runner.training.callbacks."  # they draw and print, and change nothing ...
_USERS = f"{_OURS}function."  # ... but for functions of the user's own
_LOG_LINES = 25  # of a failed process, in the message


def short_config(frozen: Mapping[str, Any], *, steps: int) -> dict[str, Any]:
    """Return the frozen config of a run made short and bare; its components stay as they are.

    There is a checkpoint after 3/8 of the steps and an evaluation, if there is a split for it, in
    the middle.
    """
    config = deepcopy(dict(frozen))
    trainer = config["trainer"]
    batches = steps * trainer["gradient_accumulation_steps"]
    trainer |= {
        "max_steps": steps,
        "max_epochs": None,
        "max_duration": None,
        "log_every_steps": 2,
        "patience": None,
    }
    if trainer["evaluate_every"] is not None:
        trainer["evaluate_every"] = f"{steps // 2} steps"
    config["checkpoint"] |= {
        "enabled": True,
        "every": f"{_cadence(steps)} steps",
        "keep_every_steps": None,
        "dir": None,
    }
    limit = config["debug"]["limit_batches"] or batches
    config["debug"] |= {"limit_batches": min(limit, batches), "fast_dev_run": False}
    config["trackers"] = {}
    config["callbacks"] = users_callbacks(config)
    return config


def users_callbacks(config: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the callbacks of a config that are not runner's own."""
    return {
        name: node
        for name, node in (config["callbacks"] or {}).items()
        if node is not None and not _is_ours(str(node[TARGET]))
    }


def _is_ours(target: str) -> bool:
    return target.startswith(_OURS) and not target.startswith(_USERS)


def callbacks_without_state(callbacks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the names of those whose class has no state_dict."""
    found = []
    for name, node in callbacks.items():
        with suppress(TargetError):
            target = locate(str(node[TARGET]))
            if isinstance(target, type) and not issubclass(target, Stateful):
                found.append(name)
    return found


class Verification:
    """Runs one short config as often as wanted, each time in a folder of its own in `folder`."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self._folder = folder
        self._config = config
        self._steps = int(config["trainer"]["max_steps"])

    def straight(self, name: str) -> list[Trace]:
        """Train from the start to the end; return what each rank recorded."""
        self._write_config(name, kill_after=None)
        self._run(name)
        return self._traces(name)

    def interrupted(self, name: str) -> list[Trace]:
        """Train, kill all processes of it by SIGKILL behind a checkpoint, and resume."""
        cadence = _cadence(self._steps)
        self._write_config(name, kill_after=max(cadence + 1, 2 * cadence - 1))
        self._run(name, kill=True)
        self._run(name)
        return self._traces(name)

    def _directory(self, name: str) -> Path:
        return self._folder / name

    def _records(self, name: str) -> Path:
        return self._folder / f"{name}_records"

    def _traces(self, name: str) -> list[Trace]:
        return read_traces(self._records(name), RunDirectory(self._directory(name)))

    def _write_config(self, name: str, *, kill_after: int | None) -> None:
        config = deepcopy(dict(self._config))
        task = config["task"]
        config["task"] = {
            **task,
            TARGET: _name(recorded),
            "recorded_target": task[TARGET],
        }
        config["callbacks"] = {
            "verify_update": {TARGET: _name(RecordUpdate)},
            **config["callbacks"],
            "verify_steps": {
                TARGET: _name(RecordSteps),
                "folder": str(self._records(name)),
                "kill_after": kill_after,
                "checkpoint_step": _cadence(self._steps),
            },
        }
        directory, text = RunDirectory(self._directory(name)), to_yaml(config)
        sign(directory, text)
        write_text_atomically(directory.config, text)

    def _run(self, name: str, *, kill: bool = False) -> None:
        """Start a job on the directory; wait for its end, or for the moment to kill it."""
        directory = self._directory(name)
        output = self._folder / f"{name}.out"
        process = start_job(directory, output)
        try:
            while process.poll() is None and not (kill and has_line(self._records(name), "kill")):
                time.sleep(0.02)
            is_to_be_killed = process.poll() is None
        finally:
            _kill_all(process)
        state = read_status(RunDirectory(directory))
        if kill and not is_to_be_killed:
            raise RunError(_failure(name, output, "ended before it was to be killed"))
        if not kill and (process.returncode != 0 or state is None or state.state != "completed"):
            raise RunError(_failure(name, output, f"failed with exit code {process.returncode}"))


def start_job(directory: Path, output: Path) -> subprocess.Popen[bytes]:
    """Start the command that goes on with the run in `directory`; what it says is in `output`."""
    command = [sys.executable, "-m", "runner", "resume", str(directory)]
    with output.open("a") as file:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
        )


def _cadence(steps: int) -> int:
    return max(1, steps * 3 // 8)


def _name(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"


def _kill_all(process: subprocess.Popen[bytes]) -> None:
    """Kill a process with all its children, the parent first: it sees none of them die."""
    if process.poll() is None:
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(children, timeout=10)
    process.wait()


def _failure(name: str, output: Path, what: str) -> str:
    lines = output.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
    text = "\n".join(f"  {line}" for line in lines)
    return f"the {name} run {what}; its last words, from {output}:\n{text}"
