"""`export`: write a trained model into a folder of its own."""

import logging
import os
from pathlib import Path

from runner.build.trained.exporting import export_model
from runner.cli.progress_line import progress_line
from runner.cli.stopping import stoppable
from runner.config.trust import NOBODY_ELSE, Trust


def export(
    directory: Path,
    *,
    to: Path | None,
    step: int | None,
    programs: tuple[str, ...],
    force: bool,
    trust: Trust = NOBODY_ELSE,
) -> int:
    """Export, tell what was written, and return the exit code: 1 if a program could not be made."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    with stoppable("nothing is exported"), progress_line() as tell:
        done = export_model(
            directory, to=to, step=step, programs=programs, force=force, trust=trust, tell=tell
        )
    megabytes = sum(p.stat().st_size for p in done.folder.rglob("*") if p.is_file()) / 1e6
    print(f"exported step {done.card.step} to {os.path.relpath(done.folder)} ({megabytes:.1f} MB)")
    for line in [*done.told, *done.problems]:
        print(line)
    return 1 if done.problems else 0
