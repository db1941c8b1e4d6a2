"""Checkpoints that are there to be deleted."""

from pathlib import Path

from runner.files import write_json_atomically


def checkpoint(path: Path) -> Path:
    (path / "sharded").mkdir(parents=True)
    (path / "model.safetensors").write_bytes(b"w" * 1000)
    (path / "sharded" / "0").write_bytes(b"s" * 500)
    write_json_atomically(path / "manifest.json", {"files": {}})
    return path
