"""How a process that was to look at a config died, as a sentence about that config."""

import signal
from pathlib import Path

from runner.runtime.location import died_at
from runner.sweeps.checks.findings import Notes
from runner.sweeps.pool import Ended, Limits


def sentence_of_death(ended: Ended, notes: Notes, *, limits: Limits, log: Path) -> str:
    """Return at which stage and where in the code the process ended, and by what."""
    words = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    stage = notes.stage or "its start"
    place = died_at(words)
    at = f", at {place}" if place else ""
    if ended.exceeded == "time":
        return f"{stage} did not end within {limits.seconds:g} seconds (sweep.check_timeout){at}"
    if ended.exceeded == "memory":
        return f"{stage} took more than {limits.memory_gib:g} GiB (sweep.check_memory_gib)"
    if ended.signal == signal.SIGKILL:
        return f"{stage}: its process was killed, most likely since the memory ran out"
    if ended.signal is not None:
        return f"{stage} killed its process ({signal.Signals(ended.signal).name}){at}"
    last = next((line.strip() for line in reversed(words.splitlines()) if line.strip()), "")
    more = f": {last}" if last else ""
    return f"{stage} ended the process with exit code {ended.exit_code}{more}"
