"""The benchmarks on a real Slurm in small: the whole ones are commands of the README."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.slurm.cluster import require_slurm

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slurm


def summary_of(benchmark: str, *options: str) -> dict[str, object]:
    require_slurm()
    command = [sys.executable, str(ROOT / "benchmarks" / benchmark), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.timeout(400)
def test_what_a_cluster_does_to_jobs_harms_no_run(tmp_path: Path) -> None:
    faults = "--faults=node,kill,preempt"
    summary = summary_of("slurm_storm.py", "--jobs=4", faults, "--folder", str(tmp_path))
    assert summary["is_fine"] and summary["unexplained"] == 0
    assert summary["adopted"] == 4 and summary["node"] >= 1 and summary["preempt"] >= 2


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_a_sweep_in_all_faults_ends_as_if_there_had_been_none(tmp_path: Path) -> None:
    summary = summary_of("slurm_storm.py", "--folder", str(tmp_path))
    assert summary["is_fine"] and summary["jobs"] == 24


@pytest.mark.timeout(200)
def test_a_large_sweep_is_split_looked_at_and_cancelled(tmp_path: Path) -> None:
    summary = summary_of("slurm_submit.py", "--jobs=60", "--array=25")
    assert summary["is_fine"] and summary["arrays"] == 3
