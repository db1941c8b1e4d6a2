"""What tests of commands on a Slurm cluster share: small runs that wait for a sign, a terminal."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from pathlib import Path

from tests.commands.command import BARE, SOURCES

SLURM = (
    *("hydra/launcher=slurm", "hardware=cpu", "hardware.threads=1", "sweep.check=none"),
    *(*BARE, "trainer.max_epochs=null", "trainer.evaluate_every=null"),
)
HELD = "+hardware.slurm.sbatch.hold=true"
LEFT = "hydra.launcher.wait=false"
_GATE = """
import time
from pathlib import Path
from runner.training.callback import Callback

class Gate(Callback):
    def on_step_end(self, fit):
        if fit.progress.step > 1 and not Path("open").exists():
            time.sleep(0.2)
"""
GATED = (*SLURM, "trainer.max_steps=600", "+callbacks.gate._target_=gate.Gate")


def put_gate(folder: Path) -> None:
    """Let runs with GATED take their time, until `open_gate`."""
    (folder / "gate.py").write_text(_GATE)


def open_gate(folder: Path) -> None:
    (folder / "open").touch()


class Terminal:
    """`python -m runner` in a terminal, for as long as it takes; leave it with `wait`."""

    def __init__(self, *arguments: str, cwd: Path) -> None:
        self._pid, self._file = pty.fork()
        if self._pid == 0:
            os.chdir(cwd)
            os.environ.update(PYTHONPATH=SOURCES, OMP_NUM_THREADS="1", TERM="xterm")
            os.execv(sys.executable, [sys.executable, "-m", "runner", *arguments])
        fcntl.ioctl(self._file, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 150, 0, 0))
        self._shown = ""
        self._seen = 0

    @property
    def text(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self._shown)

    def wait_for(self, words: str, *, seconds: float = 60) -> None:
        """Wait until `words` are shown, behind those that were waited for last."""
        end = time.monotonic() + seconds
        while words not in self.text[self._seen :]:
            assert time.monotonic() < end and self._read(), f"no {words!r} in {self.text}"
        self._seen = self.text.index(words, self._seen) + len(words)

    def type(self, keys: str) -> None:
        os.write(self._file, keys.encode())

    def wait(self, *, seconds: float = 60) -> int:
        """Return the exit code, or minus the signal by which it was killed."""
        end = time.monotonic() + seconds
        while self._read():
            if time.monotonic() > end:
                os.kill(self._pid, signal.SIGKILL)
        os.close(self._file)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def _read(self) -> bool:
        """Read what is shown, or wait a moment; return False at the end."""
        if not select.select([self._file], [], [], 0.1)[0]:
            return True
        try:
            new = os.read(self._file, 1 << 16)
        except OSError:  # the other end is closed
            return False
        self._shown += new.decode(errors="replace")
        return bool(new)
