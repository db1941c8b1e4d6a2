"""The storm of benchmarks/kill_storm.py in small: the whole one is a command of the README."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SMALL = (
    "--kills=4 --saves=1 --evaluations=1 --kills-per-run=4 --megabytes=6 --steps=60 "
    "--step-seconds=0.01 --evaluation-seconds=0.3"
)


def test_a_storm_of_kills_harms_no_run(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks/kill_storm.py"), *SMALL.split()]
    done = subprocess.run(
        [*command, "--folder", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["is_fine"] and summary["kills"] >= 4
    assert summary["in_a_save"] >= 1 and summary["in_an_evaluation"] >= 1
    assert summary["runs_harmed"] == 0
