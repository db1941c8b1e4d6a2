"""`Artifacts`: the files of a run on one server; each is stored once, as its mark remembers."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from runner.run.directory import RunDirectory
from runner.trackers.mlflow.mark import Mark, stamp_of_file
from runner.trackers.mlflow.models import Models, stamp_of_model
from runner.trackers.mlflow.packaging import card_among, inside
from runner.trackers.mlflow.store import MLflowStore

logger = logging.getLogger(__name__)


class Artifacts:
    """Stores files that the mark does not know; `save` is called after each."""

    def __init__(
        self, store: MLflowStore, mark: Mark, directory: RunDirectory, save: Callable[[], None]
    ) -> None:
        assert mark.run_id is not None
        assert mark.experiment_id is not None
        self._store = store
        self._run_id, self._experiment_id = mark.run_id, mark.experiment_id
        self._mark = mark
        self._directory = directory
        self._save = save

    def store(self, path: Path, *, folder: str) -> None:
        """Store one file in `folder` ("" for the top); one that is gone is no error."""
        name = f"{folder}/{path.name}".lstrip("/")
        try:
            stamp = stamp_of_file(path)
            if self._mark.artifacts.get(name) == stamp:
                return
            self._store.log_file(self._run_id, path, folder=folder)
        except Exception:
            if path.exists():
                raise
            logger.info("%s is not there any more", path)  # not kept, as old checkpoints
            return
        self._mark.artifacts[name] = stamp
        self._save()

    def store_all(self, paths: Sequence[str], *, folder: str | None = None) -> None:
        """Store files and whole folders, in `folder`; without one a folder keeps its name."""
        for path in paths:
            own = Path(path).name if Path(path).is_dir() else ""
            for file, inner in inside([path], folder=own if folder is None else folder):
                self.store(file, folder=inner)

    def store_checkpoints(self) -> None:
        """Store every committed checkpoint; the manifest last, so that a part of one is none."""
        for checkpoint in self._directory.committed:
            files = [path for path in checkpoint.rglob("*") if path.is_file()]
            for path in sorted(files, key=lambda path: (path.name == "manifest.json", path)):
                inner = path.parent.relative_to(checkpoint.parent)
                self.store(path, folder=f"checkpoints/{inner.as_posix()}")

    def store_model(self, files: Sequence[str], *, register_as: str | None) -> None:
        """Store the final model, and register it; files without a card are files and no more."""
        card = card_among(files)
        if card is None or not card["weights"]:  # weights in parts are no model yet: see export
            return self.store_all(files, folder="model")
        models = Models(self._store.client, self._run_id, self._experiment_id)
        stamp = stamp_of_model(card)
        if self._mark.model != stamp:
            try:
                self._mark.model_id = models.log(card, files)
            except FileNotFoundError as error:  # weights that a sweep does not keep
                return logger.info("%s is not there any more", error.filename)
            self._mark.model, self._mark.registered = stamp, None
            self._save()
        if register_as is not None and self._mark.registered != register_as:
            assert self._mark.model_id is not None
            self._mark.version = models.register(self._mark.model_id, register_as, card)
            self._mark.registered = register_as
            self._save()
        return None
