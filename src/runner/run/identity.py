"""Names of runs: an id of its own for each, and a directory that no other run gets."""

import secrets
import time
from pathlib import Path


def new_id() -> str:
    """Return eight random characters."""
    return secrets.token_hex(4)


def new_directory(output_dir: str | Path, name: str) -> Path:
    """Return `output_dir/name/<date>_<time>_<id>`: unique even among runs of the same second."""
    return Path(output_dir) / name / f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{new_id()}"
