"""The storm of benchmarks/sweep_storm.py in small: the whole one is a command of the README."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALL = "--jobs=7 --kills=2 --seconds=3 --steps=60 --time-limit=6"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_sweep_killed_at_any_instant_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks/sweep_storm.py"), *SMALL.split()]
    done = subprocess.run(
        [*command, "--folder", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["is_fine"] and summary["kills"] == 2
