"""Which checkpoints to keep: a pure function."""

from collections.abc import Collection


def steps_to_delete(
    saved: Collection[int],
    *,
    keep_last: int,
    best: Collection[int],
    anchor: int | None = None,
    every_steps: int | None = None,
) -> list[int]:
    """Return the steps in `saved` that nothing asks to keep.

    Kept are the `keep_last` newest (the newest always), those in `best`, the `anchor` to which a
    training may be rolled back, and every multiple of `every_steps`.
    """
    newest = sorted(saved)[-max(1, keep_last) :]
    permanent = [step for step in saved if every_steps and step and step % every_steps == 0]
    return sorted(set(saved) - set(newest) - set(best) - {anchor} - set(permanent))
