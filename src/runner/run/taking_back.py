"""Take back what a job has written for a run that never began.

Only files that a job itself writes before it begins, by their names: whatever else somebody has put
beside them stays, and so does the directory then.
"""

import shutil
from contextlib import suppress
from pathlib import Path

from runner.run.directory import RunDirectory
from runner.run.lease import lock_of


def is_untouched(path: Path) -> bool:
    """Return whether nothing is in the folder `path`, or no such folder is there."""
    return not path.exists() or not any(path.iterdir())


def take_back_files(directory: RunDirectory) -> None:
    """Remove config, provenance, status, logs, notes on data and weights, and an empty journal.

    The preprocessor goes too, and of checkpoints elsewhere the link and the folder if it is empty.
    """
    written = [
        *(directory.config, directory.provenance, directory.status),
        *(directory.init_weights, directory.signature, directory.data),
    ]
    written += directory.logs.glob("rank_*.log")
    if directory.journal.exists() and directory.journal.stat().st_size == 0:
        written.append(directory.journal)
    for path in written:
        path.unlink(missing_ok=True)
    with suppress(OSError):
        directory.logs.rmdir()
    shutil.rmtree(directory.preprocessor, ignore_errors=True)
    if directory.checkpoints.is_symlink():
        with suppress(OSError):
            directory.checkpoints.resolve().rmdir()
            directory.checkpoints.unlink()


def take_back_folder(directory: RunDirectory, *, is_ours: bool) -> None:
    """Remove the lock of the lease, and the folder if it `is_ours`, once both are of no use."""
    lock = lock_of(directory.lease)
    with suppress(OSError):
        if list(directory.path.iterdir()) == [lock]:  # else another job has come
            lock.unlink()
        if is_ours:
            directory.path.rmdir()
