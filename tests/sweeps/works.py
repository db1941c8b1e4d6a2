"""What the processes of these tests do: picklable, light, and some of them deadly."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.sweeps.checks.findings import Findings, note_findings, note_stage
from runner.sweeps.pool import Work


@dataclass(frozen=True)
class Exits:
    code: int

    def __call__(self) -> int:
        sys.stdout.write("its last words\n")
        return self.code


@dataclass(frozen=True)
class Dies:
    by: int

    def __call__(self) -> int:
        os.kill(os.getpid(), self.by)
        time.sleep(60)
        return 0


@dataclass(frozen=True)
class Sleeps:
    """Deaf to SIGTERM; also has a child that sleeps, whose process id it writes to `path`."""

    path: Path

    def __call__(self) -> int:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        self.path.write_text(str(child.pid))
        time.sleep(60)
        return 0


@dataclass(frozen=True)
class Eats:
    def __call__(self) -> int:
        eaten = []
        while True:
            eaten.append(bytearray(20_000_000))
            time.sleep(0.01)


@dataclass(frozen=True)
class Look:
    """Looks at configs: `wrong` has a problem, `deadly` kills the process, `hangs` hangs."""

    configs: Sequence[Mapping[str, Any]]
    notes: Path
    is_trial: bool

    def __call__(self) -> int:
        for config in self.configs:
            note_stage(self.notes, "the trial" if self.is_trial else "the reading")
            model = config["model"]
            if model.get("deadly_trial" if self.is_trial else "deadly"):
                ctypes.string_at(0)
            if model.get("hangs") and self.is_trial:
                time.sleep(60)
            wrong = model.get("wrong_trial" if self.is_trial else "wrong")
            facts = {"tried": model["_target_"]} if self.is_trial else {}
            note_findings(self.notes, Findings(problems=[wrong] if wrong else [], facts=facts))
        return 0


class LightWorks:
    def validate(
        self,
        configs: Sequence[Mapping[str, Any]],
        choices: Sequence[Mapping[str, str]],
        notes: Path,
    ) -> Work:
        assert len(configs) == len(choices)
        return Look(configs, notes, False)

    def rehearse(
        self,
        configs: Sequence[Mapping[str, Any]],
        choices: Sequence[Mapping[str, str]],
        notes: Path,
    ) -> Work:
        return Look(configs, notes, True)
