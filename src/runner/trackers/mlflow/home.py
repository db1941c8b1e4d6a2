"""Whose an MLflow run is, when the directory of the run it shows was moved or copied.

A copy of a directory holds all that the original holds, its mark too, so that nothing inside can
tell them apart. Two things outside can:

- The mark remembers its home, the path of the directory and its inode. A job in the same path and
  inode is at home, on another host of a shared file system as well. Elsewhere, if the home is still
  there, is another directory (another inode: the same one may be mounted in two places) and goes on
  with the same MLflow run, then this is a copy, and gets an MLflow run of its own.
- Else the directory was moved, or the original cannot be seen from here. It goes on in its MLflow
  run, and takes it: a new word is put into its mark and, as the tag `runner.holder`, on the MLflow
  run. Whoever comes later with another word, or none, as a second copy does and an original on
  another machine, finds that the run is taken, and gets one of its own.

A run that was never moved has no word, and nor has its MLflow run. The word stands in the mark as
`claim` before it is sent, and as `holder` once it has arrived: a kill between loses nothing.
"""

import uuid
from pathlib import Path

from runner.run.directory import RunDirectory
from runner.trackers.mlflow.mark import Mark, MarkFile


def settle(mark: Mark, directory: RunDirectory) -> None:
    """Let `directory` be the home of `mark`."""
    mark.path, mark.inode = _place(directory)
    mark.holder, mark.claim = mark.claim or mark.holder, None


def is_at_home(mark: Mark, directory: RunDirectory) -> bool:
    """Tell whether `directory` is where the run went on the last time."""
    return (mark.path, mark.inode) == _place(directory)


def original_of(mark: Mark, directory: RunDirectory, address: str) -> Path | None:
    """Return the directory of which `directory` is a copy, if that can be seen from here."""
    if mark.path is None or is_at_home(mark, directory):
        return None
    home = RunDirectory(Path(mark.path))
    try:
        is_another = home.path.stat().st_ino != directory.path.stat().st_ino
        goes_on = is_another and MarkFile(home.tracker("mlflow")).load(address).key == mark.key
    except (OSError, ValueError):  # gone, or not to be seen: the word on the MLflow run tells
        return None
    return home.path if goes_on else None


def is_taken(mark: Mark, holder: str | None) -> bool:
    """Tell whether another directory goes on with the MLflow run on which `holder` stands."""
    return holder not in (mark.holder, mark.claim)


def claim(mark: Mark) -> str:
    """Return the word with which a moved directory takes its MLflow run; to be saved first."""
    mark.claim = mark.claim or uuid.uuid4().hex
    return mark.claim


def _place(directory: RunDirectory) -> tuple[str, int]:
    path = directory.path.absolute()
    return str(path), path.stat().st_ino
