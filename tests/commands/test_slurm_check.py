"""`check` with hydra/launcher=slurm: tried here, and the cluster is asked; nothing is submitted."""

import os
from pathlib import Path

import pytest

from tests.commands.command import BARE, call

SLURM = ("hydra/launcher=slurm", "hardware.threads=1", "trainer.max_steps=3", *BARE)


@pytest.fixture
def sbatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands of a cluster that knows one partition; what sbatch is asked stands in a file."""
    lines = {
        "scontrol": ["echo PartitionName=low Default=YES DefaultTime=NONE MaxTime=UNLIMITED"],
        "sinfo": ["echo gpu:2"],
        "sbatch": [
            f'echo "$@" >>{tmp_path}/asked',
            'case "$*" in *partition=hgh*)',
            "echo sbatch: error: invalid partition specified: hgh >&2; exit 1 ;; esac",
        ],
    }
    (tmp_path / "bin").mkdir()
    for name, script in lines.items():
        path = tmp_path / "bin" / name
        path.write_text("\n".join(["#!/bin/sh", *script]) + "\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    # Facts are remembered by the settings that they are about.
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    return tmp_path / "asked"


def test_a_run_for_a_gpu_of_the_cluster_is_checked_here(sbatch: Path, tmp_path: Path) -> None:
    done = call("check", "hardware=cuda", *SLURM, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "note: checked on the CPU: this machine has no cuda device\n" in done.stdout
    assert "nothing wrong" in done.stdout
    (asked,) = sbatch.read_text().splitlines()
    assert asked.startswith("--test-only")
    assert "--gpus-per-node=1" in asked
    assert not (tmp_path / "outputs").exists()


def test_no_gpu_is_noted(sbatch: Path, tmp_path: Path) -> None:
    done = call("check", *SLURM, cwd=tmp_path)
    assert "note: hardware.device=auto asks for no GPU: hardware=cuda does\n" in done.stdout


def test_an_unknown_partition_is_told_before_a_sweep(sbatch: Path, tmp_path: Path) -> None:
    partition = "hardware.slurm.partition=low,hgh"
    done = call("-m", partition, "seed=1,2", "sweep.check=config", *SLURM, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "error: the cluster would refuse the job: invalid partition specified: hgh "
        "(hardware.slurm.partition; there are low) (with hardware.slurm.partition=hgh)"
    )
    assert len(sbatch.read_text().splitlines()) == 2  # one for each partition
    assert "--test-only" in sbatch.read_text().splitlines()[1]


def test_without_the_launcher_nobody_is_asked(sbatch: Path, tmp_path: Path) -> None:
    done = call("check", "hardware.threads=1", "trainer.max_steps=3", *BARE, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "note" not in done.stdout
    assert not sbatch.exists()
