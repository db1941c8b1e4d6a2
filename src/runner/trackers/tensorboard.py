"""`TensorBoardTracker`: every logged value for TensorBoard; look with tensorboard --logdir outputs.

A run has one event file, however many jobs it took. What a kill left behind the mark is cut off and
written again, byte for byte.
"""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.run.journal import Row
from runner.trackers.appending import AppendedFile, LostEndError
from runner.trackers.following import FollowingTracker
from runner.trackers.packages import require
from runner.trackers.tracker import TrackedRun


class TensorBoardTracker(FollowingTracker):
    """Shows a run in TensorBoard: values as "split/name", parameters, tags.

    `logging_dir` is a folder for the files of many runs (None: tensorboard/ in the run directory).
    """

    def __init__(self, *, logging_dir: str | None = None) -> None:
        require("tensorboard", needed_by="TensorBoardTracker", install="'runner[tensorboard]'")
        folder = None if logging_dir is None else Path(logging_dir).absolute()
        super().__init__(
            lambda run, state: EventFile(run, state, _folder_of(run, folder)),
            target=str(folder or ""),
        )


class EventFile:
    """A sink: one file of TensorBoard's events in `folder`."""

    def __init__(self, run: TrackedRun, state: Mapping[str, Any] | None, folder: Path) -> None:
        from runner.trackers import tensorboard_events  # imports tensorboard

        self._events = tensorboard_events
        self._name = "" if state is None else str(state["name"])
        self._told = "" if state is None else str(state["told"])  # parameters and tags
        self._step = 0 if state is None else int(state["step"])
        self.continues = False
        if state is not None:
            try:
                self._file = AppendedFile(folder / self._name, size=state["size"])
                self.continues = True
            except LostEndError:
                pass
        if not self.continues:
            self._begin(run, folder)
        self._tell(run)

    def write(self, rows: Sequence[Row]) -> None:
        self._file.append(self._events.scalars(rows))
        self._step = max(self._step, *(row.step for row in rows))

    def state_dict(self) -> dict[str, Any]:
        return {
            "name": self._name,
            "size": self._file.size,
            "step": self._step,
            "told": self._told,
        }

    def close(self, state: str) -> None:
        self._file.append(self._events.ending(state, step=self._step))

    def _begin(self, run: TrackedRun, folder: Path) -> None:
        """Begin a file, in place of those of this run that are there."""
        id = f"{run.tags.get('runner.id', run.directory.path.name)}.{run.tracker}"
        for old in folder.glob(f"events.out.tfevents.*.{id}"):
            old.unlink()
        self._name = f"events.out.tfevents.{int(time.time()):010}.{id}"
        self._told, self._step = "", 0
        self._file = AppendedFile(folder / self._name, size=0)
        self._file.append(self._events.header())

    def _tell(self, run: TrackedRun) -> None:
        """Write parameters and tags, again where a resume has changed them."""
        content = json.dumps([run.parameters, dict(run.tags)], sort_keys=True, default=str)
        told = hashlib.sha256(content.encode()).hexdigest()
        if told != self._told:
            self._file.append(self._events.description(run, step=self._step))
            self._told = told


def _folder_of(run: TrackedRun, folder: Path | None) -> Path:
    """Return where the files of `run` go: outside it, under its name and that of its sweep."""
    if folder is None:
        return run.directory.tensorboard
    *_, above, own = run.directory.path.absolute().parts
    return folder.joinpath(*dict.fromkeys([run.name, above]), own)
