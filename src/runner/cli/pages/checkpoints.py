"""The checkpoints of a run for its page; their files are weighed, not read."""

from collections.abc import Sequence
from pathlib import Path

from runner.checkpoint.manifest import committed_steps, read_manifest, step_path
from runner.errors import CheckpointError
from runner.reports.run.facts import CheckpointFacts
from runner.run.directory import RunDirectory
from runner.run.journal import Row


def checkpoints_of(
    directory: RunDirectory, rows: Sequence[Row], *, metric: str
) -> list[CheckpointFacts]:
    """Return the committed checkpoints, oldest first, with the score measured at their step."""
    split, _, name = metric.partition(".")
    scores = {
        row.step: row.values[name] for row in rows if row.split == split and name in row.values
    }
    return [
        _checkpoint(step, step_path(directory.checkpoints, step), scores.get(step))
        for step in committed_steps(directory.checkpoints)
    ]


def _checkpoint(step: int, folder: Path, score: float | None) -> CheckpointFacts:
    try:
        manifest = read_manifest(folder)
    except CheckpointError as error:
        return CheckpointFacts(step=step, num_bytes=0, saved=None, score=score, problem=str(error))
    wrong = [name for name, entry in manifest.files.items() if _size(folder / name) != entry.size]
    return CheckpointFacts(
        step=step,
        num_bytes=sum(entry.size for entry in manifest.files.values()),
        saved=folder.stat().st_mtime,
        score=score,
        problem=f"{', '.join(wrong)} missing or cut off" if wrong else None,
    )


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None
