"""Runs that somebody else made, and what he may have put into them."""

import secrets
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.config.written import to_yaml
from runner.run.directory import RunDirectory
from runner.run.signature import sign
from tests.commands.command import BARE, call, only_run


def own_run(folder: Path) -> Path:
    """Train a run of two steps, as this user."""
    done = call("trainer.max_steps=2", *BARE, cwd=folder)
    assert done.returncode == 0, done.stderr
    return only_run(folder)


def from_elsewhere(run: Path, folder: Path, **nodes: Any) -> Path:
    """Return a copy of `run` with other `nodes` in its config, signed by somebody else."""
    copy = folder / "from_elsewhere"
    shutil.copytree(run, copy, symlinks=True)
    directory = RunDirectory(copy)
    config = {**yaml.safe_load(directory.config.read_text()), **nodes}
    directory.signature.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / f"state_{secrets.token_hex(4)}"))
        sign(directory, to_yaml(config))
    directory.config.write_text(to_yaml(config))
    return copy
