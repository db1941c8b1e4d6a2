"""Which checkpoints to keep: a pure function."""

from collections.abc import Collection


def steps_to_delete(saved: Collection[int], *, keep_last: int, best: Collection[int]) -> list[int]:
    """Return the steps in `saved` that are neither among the `keep_last` newest nor in `best`.

    The newest is always kept.
    """
    newest = sorted(saved)[-max(1, keep_last) :]
    return sorted(set(saved) - set(newest) - set(best))
