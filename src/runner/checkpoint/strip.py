"""Free the disk of checkpoints that nobody needs any more, of a run that nobody works on.

No torch here: `clean` runs on a login node.
"""

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from runner.checkpoint.manifest import step_folders, step_path
from runner.run.directory import RunDirectory
from runner.run.lease import kept_free
from runner.run.status import read_raw_status

OVER = ("completed", "pruned")  # states of a run that needs its checkpoints for nothing but use

_LEFTOVERS = (".step_*.partial", "damaged_step_*")  # of kills and of torn writes
_ASIDE = ".step_*.replaced"


def leftovers(root: Path) -> list[Path]:
    """Return what kills and torn writes have left among the checkpoints in `root`."""
    found = [path for pattern in _LEFTOVERS for path in root.glob(pattern)]
    # One that was set aside for its successor is the only one until that is in its place.
    found += [aside for aside in root.glob(_ASIDE) if _successor(aside).exists()]
    return sorted(found)


def all_of(root: Path) -> list[Path]:
    """Return all checkpoints in `root`, whole or not, and what else lies there of saving."""
    whole = [step_path(root, step) for step in step_folders(root)]
    return list(dict.fromkeys([*whole, *root.glob(_ASIDE), *leftovers(root)]))


def size_of(paths: Iterable[Path]) -> int:
    """Return how many bytes lie in `paths` and below."""
    total = 0
    for path in paths:
        for folder, _, names in os.walk(path):
            total += sum(_size(Path(folder, name)) for name in names)
    return total


def strip(directory: RunDirectory) -> int:
    """Delete all checkpoints of a run that is over and return the bytes freed.

    It is left alone, and 0 returned, when somebody works on it or has begun to continue it. A kill
    leaves whole checkpoints or none: each vanishes before its files do.
    """

    def delete() -> int:
        freed = _delete(all_of(directory.checkpoints))
        _remove_folder(directory.checkpoints)
        return freed

    return _alone(directory, delete)


def sweep_up(directory: RunDirectory) -> int:
    """Delete the leftovers among the checkpoints of a run that is over; return the bytes freed."""
    return _alone(directory, lambda: _delete(leftovers(directory.checkpoints)))


def _alone(directory: RunDirectory, act: Callable[[], int]) -> int:
    """Do `act`, if the run is over, while nobody can begin to continue it."""
    if not directory.checkpoints.exists():
        return 0
    with kept_free(directory.lease) as is_free:
        status = read_raw_status(directory.status)
        is_over = status is not None and status.state in OVER
        return act() if is_free and is_over else 0


def _delete(paths: Iterable[Path]) -> int:
    freed = 0
    for path in paths:
        freed += size_of([path])
        doomed = path
        if not path.name.endswith(".partial"):
            doomed = path.with_name(f".{path.name.lstrip('.')}.deleted.partial")
            shutil.rmtree(doomed, ignore_errors=True)
            path.rename(doomed)
        shutil.rmtree(doomed)
    return freed


def _successor(aside: Path) -> Path:
    return aside.with_name(aside.name.removeprefix(".").removesuffix(".replaced"))


def _remove_folder(root: Path) -> None:
    """Remove the empty folder, and the link to it; one that holds anything else stays."""
    target = root.resolve()
    if any(target.iterdir()):
        return
    if root.is_symlink():  # first: a link to nothing would stop whoever trains the run longer
        root.unlink()
    target.rmdir()


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:  # another removes it meanwhile
        return 0
