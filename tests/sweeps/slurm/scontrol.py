"""A scontrol that says what it was told to say, for tests that need no cluster."""

import os
from pathlib import Path

_SCRIPT = """#!/bin/sh
cd {folder}
echo "$*" >> calls
failures=$(cat failures)
if [ "$failures" -gt 0 ]; then echo $((failures - 1)) > failures; exit 1; fi
cat "answers/$*" 2>/dev/null
"""


class FakeScontrol:
    """Lies in a folder that is first in `path`; a call it has no answer for fails."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "answers").mkdir(parents=True)
        self.fails(0)
        script = folder / "scontrol"
        script.write_text(_SCRIPT.format(folder=folder))
        script.chmod(0o755)

    @property
    def path(self) -> str:
        return f"{self._folder}{os.pathsep}{os.environ['PATH']}"

    def says(self, call: str, answer: str) -> None:
        (self._folder / "answers" / call).write_text(answer)

    def fails(self, times: int) -> None:
        """Let the next calls fail."""
        (self._folder / "failures").write_text(f"{times}\n")

    def calls(self) -> list[str]:
        path = self._folder / "calls"
        return path.read_text().splitlines() if path.exists() else []
