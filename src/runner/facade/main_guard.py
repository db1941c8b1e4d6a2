"""Notice a script that begins to train wherever it is imported."""

import multiprocessing
import sys


def leave_if_imported_by_a_child() -> None:
    """End this process if it is a child that imports the user's script to become a worker.

    Workers are not forked (other threads are alive), so each imports the script that started the
    training, to its end. Without a guard it would begin the training again in there.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        sys.stderr.write(  # what a worker raises while it imports is told by nobody
            "data.num_workers: a worker imports this script, which begins to train when it is "
            "imported: put what it does below  if __name__ == '__main__':\n"
        )
        sys.stderr.flush()
        raise SystemExit(1)
