"""Programs named as Slurm's that print what a test wants, first in PATH."""

import os
import stat
from pathlib import Path

import pytest

from runner.sweeps.slurm import queue


class Commands:
    """Makes such programs, which write down how they were called; sacct has no accounting."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder / "slurm_programs"
        self.folder.mkdir()
        path = os.environ["PATH"]
        monkeypatch.setenv("PATH", f"{self.folder}{os.pathsep}{path}")
        monkeypatch.setattr(queue, "_sacct_silent_until", 0.0)
        self("sacct", error="Slurm accounting storage is disabled", code=1)

    def __call__(self, name: str, output: str = "", *, error: str = "", code: int = 0) -> Path:
        """Let `name` print this from now on; return the file in which its calls are."""
        calls = self.folder / f"{name}.calls"
        for suffix, text in (("out", output), ("err", error)):
            (self.folder / f"{name}.{suffix}").write_text(text)
        own = f"{self.folder}/{name}"
        self._program(
            name,
            f'echo "$SQUEUE_STATES$SACCT_FORMAT $*" >> {calls}\n'
            f"cat {own}.out; cat {own}.err >&2; exit {code}\n",
        )
        return calls

    def cancel_all(self, queue_after: str) -> Path:
        """Let scancel change what squeue prints; return the file in which its calls are."""
        calls = self.folder / "scancel.calls"
        after = self.folder / "after"
        after.write_text(queue_after)
        self._program("scancel", f'echo "$*" >> {calls}\ncp {after} {self.folder}/squeue.out\n')
        return calls

    def _program(self, name: str, script: str) -> None:
        program = self.folder / name
        program.write_text(f"#!/bin/sh\n{script}")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)


def calls_in(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def line(id: str, state: str, reason: str = "None", nodes: str = "", code: int = 0) -> str:
    """Return what squeue prints of a job; `code` is a wait status."""
    return f"{id}|{state}|{reason}|{code}|0|{nodes}|\n"
