"""Go on from an older checkpoint: in a new run, beside the one that made it."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from runner.build.trained.result import trained_step
from runner.checkpoint.manifest import committed_steps, step_path, verified_manifest
from runner.config.stamp import id_in, new_stamp
from runner.files import write_text_atomically
from runner.run.directory import RunDirectory
from runner.run.journal import Journal, read_journal
from runner.run.provenance import (
    facts_of_process,
    first_provenance,
    read_provenance,
    signed_text,
    write_provenance,
)
from runner.run.signature import is_ours, sign
from runner.run.status import Status, write_status
from runner.sweeps.directory import is_sweep


def fork_run(path: Path, *, step: int) -> Path:
    """Return the directory of a new run that stands where the run in `path` stood at `step`.

    It has the config of the other, its checkpoints and rows of the journal up to `step`, and names
    it in run.json; it has an id, and runs of trackers, of its own. The other, which may be running,
    is not touched. CheckpointError names the steps there are.
    """
    parent = RunDirectory(path.absolute())
    provenance = read_provenance(parent.provenance)
    trained_step(parent, step)
    final = _folder_for(parent.path) / new_stamp()
    partial = RunDirectory(final.with_name(f".{final.name}.partial"))
    try:
        config = parent.config.read_text(encoding="utf-8")
        first = first_provenance(
            name=provenance["name"], id=id_in(final.name), facts=facts_of_process()
        )
        if is_ours(parent):
            sign(partial, config, facts=[signed_text(first)])
        write_text_atomically(partial.config, config)
        _link_checkpoints(parent, partial, step)
        _copy_rows(parent, partial, step)
        origin = {"id": provenance["id"], "step": step, "path": os.path.relpath(path, final)}
        write_provenance(partial.provenance, {**first, "forked_from": origin})
        write_status(partial.status, Status(state="preempted", step=step))
        partial.path.rename(final)
    except BaseException:
        shutil.rmtree(partial.path, ignore_errors=True)
        raise
    return final


def _folder_for(path: Path) -> Path:
    """Return where runs lie beside `path`; a run of a sweep has those of its name beside it."""
    return path.parent.parent.parent if is_sweep(path.parent) else path.parent


def _link_checkpoints(parent: RunDirectory, child: RunDirectory, step: int) -> None:
    """Let the child have the checkpoints up to `step`: the best one so far may be among them.

    They are linked where the disk can do that, since a committed one never changes.
    """
    child.checkpoints.mkdir()
    for saved in committed_steps(parent.checkpoints):
        if saved > step:
            continue
        source, target = step_path(parent.checkpoints, saved), step_path(child.checkpoints, saved)
        try:
            shutil.copytree(source, target, copy_function=_link)
            verified_manifest(target)
        except (OSError, shutil.Error):  # deleted meanwhile by the other run, which goes on
            shutil.rmtree(target, ignore_errors=True)
            if saved == step:
                raise


def _link(source: str, target: str) -> None:
    with suppress(OSError):
        os.link(source, target)
        return
    shutil.copy2(source, target)


def _copy_rows(parent: RunDirectory, child: RunDirectory, step: int) -> None:
    journal = Journal(child.journal)
    try:
        for row in read_journal(parent.journal):
            if row.step <= step:
                journal.append(row)
    finally:
        journal.close()
