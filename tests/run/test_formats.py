"""What a newer runner wrote is refused with a sentence, wherever a format is written down."""

import json
from pathlib import Path

import pytest

from runner.checkpoint import manifest
from runner.errors import CheckpointError, RunError
from runner.facade.run import Run
from runner.run.directory import FORMAT_VERSION
from runner.sweeps import directory as sweeps
from runner.sweeps.record import read_record

REFUSAL = "has format {}, this runner reads up to {}: use a newer runner"


def test_a_run_of_a_newer_format(tmp_path: Path) -> None:
    version = FORMAT_VERSION + 1
    (tmp_path / "run.json").write_text(json.dumps({"format_version": version, "strange": True}))
    with pytest.raises(RunError, match=REFUSAL.format(version, FORMAT_VERSION)):
        Run(tmp_path)


def test_a_checkpoint_of_a_newer_format(tmp_path: Path) -> None:
    version = manifest.FORMAT_VERSION + 1
    (tmp_path / manifest.NAME).write_text(json.dumps({"format_version": version, "strange": 1}))
    with pytest.raises(CheckpointError, match=REFUSAL.format(version, manifest.FORMAT_VERSION)):
        manifest.read_manifest(tmp_path)


def test_a_sweep_of_a_newer_format(tmp_path: Path) -> None:
    version = sweeps.FORMAT_VERSION + 1
    (tmp_path / "sweep.json").write_text(json.dumps({"format_version": version, "strange": 1}))
    with pytest.raises(RunError, match=REFUSAL.format(version, sweeps.FORMAT_VERSION)):
        read_record(sweeps.SweepDirectory(tmp_path))


@pytest.mark.parametrize("version", ["new", None])
def test_a_format_that_is_no_number_is_told(tmp_path: Path, version: object) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"format_version": version}))
    with pytest.raises(RunError, match="has format"):
        Run(tmp_path)
