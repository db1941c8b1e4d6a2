"""The mark: what of a run's journal has arrived at an MLflow server, remembered beside the run."""

import uuid
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from runner.files import write_json_atomically
from runner.trackers.marks import damaged, read_mark

MARK_VERSION = 1


@dataclass(kw_only=True)
class Mark:
    """What one server has; written after each delivery.

    `key` is a tag of the MLflow run, chosen before the run is created: a delivery killed between
    creating the run and writing the mark finds it again. `written` is how the config writes the
    address: a path that depends on where the user stands, or an environment variable.
    """

    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    run_id: str | None = None
    experiment_id: str | None = None
    creations: int = 0  # how often the run was asked for; more than once, and there may be doubles
    offset: int = 0  # bytes of the journal delivered
    rows: int = 0
    is_ahead: bool = False  # the server may have values of steps that come behind `offset`
    artifacts: dict[str, str] = field(default_factory=dict)  # file stamp by name on the server
    state: str | None = None  # MLflow's word, once told
    told: str | None = None  # likewise runner's, which knows more of them
    model: str | None = None  # the weights of the model that is there, as models.py names them
    model_id: str | None = None  # MLflow's id of that
    registered: str | None = None  # the name under which it is registered
    version: str | None = None  # likewise the number
    written: str | None = None
    parent: str | None = None  # the MLflow run of the sweep below which it is shown
    path: str | None = None  # the home of the run, see home.py
    inode: int | None = None
    holder: str | None = None
    claim: str | None = None


def stamp_of_file(path: Path) -> str:
    """Return what `Mark.artifacts` remembers of the file at `path`; FileNotFoundError if none."""
    return f"{path.stat().st_size} {path.stat().st_mtime_ns}"


class MarkFile:
    """The marks of one run, one for each server it was ever delivered to, by address.

    Every method raises ValueError if the file is damaged, or of another version.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self, address: str) -> Mark:
        """Return the mark for the server at `address`; a new one for a new server."""
        known = self._read().get(address)
        return Mark(**known) if known else Mark()

    def address_of(self, written: str) -> str | None:
        """Return the server that the config called `written` when a job was delivered to it."""
        known = self._read().items()
        return next((address for address, mark in known if mark.get("written") == written), None)

    def save(self, address: str, mark: Mark) -> None:
        """Remember `mark`, leaving those of other servers alone."""
        servers = self._read() | {address: asdict(mark)}
        write_json_atomically(self._path, {"version": MARK_VERSION, "servers": servers})

    def _read(self) -> dict[str, dict]:
        content = read_mark(self._path)
        if content is None:
            return {}
        if (version := content.get("version")) != MARK_VERSION:
            raise ValueError(f"{self._path} has version {version}, expected {MARK_VERSION}")
        servers = content.get("servers")
        if not isinstance(servers, dict) or not all(map(_is_mark, servers.values())):
            raise damaged(self._path, "it has no marks of servers")
        return servers


def _is_mark(known: object) -> bool:
    """Tell whether it has fields of `Mark` alone, each of its kind."""
    kinds: dict[str, Any] = {item.name: item.type for item in fields(Mark)} | {"artifacts": dict}
    return isinstance(known, dict) and all(
        name in kinds and isinstance(value, kinds[name]) for name, value in known.items()
    )
