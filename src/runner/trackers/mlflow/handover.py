"""What a run of a sweep leaves in its directory for the sweep's delivery process.

A job of a sweep starts no delivery process and waits for none: it writes down what is to be
delivered when it begins, and again, with its ending, when it ends. A job that is killed leaves the
first; how it ended the sweep knows from its status. There is never a password in it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from runner.files import write_json_atomically
from runner.run.directory import RunDirectory
from runner.trackers.journal_tail import count_rows
from runner.trackers.marks import damaged, read_mark
from runner.trackers.mlflow.evaluations import new_evaluations
from runner.trackers.mlflow.mark import MarkFile
from runner.trackers.mlflow.order import Order
from runner.trackers.mlflow.states import mlflow_state
from runner.trackers.mlflow.uri import hands_over, without_credentials

HANDOVER_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Handover:
    """What is to be delivered of a run, and once the job has ended, the files of its model."""

    order: Order
    state: str | None = None  # how the job ended by its own word
    model_files: list[str] = field(default_factory=list)


def handover_path(directory: RunDirectory) -> Path:
    """Return where a run keeps its handover."""
    return directory.tracker("mlflow").with_suffix(".order.json")


def write_handover(directory: RunDirectory, handover: Handover) -> None:
    """Replace the handover of a run, without any password."""
    content = {"version": HANDOVER_VERSION, **asdict(censored(handover))}
    write_json_atomically(handover_path(directory), content)


def censored(handover: Handover) -> Handover:
    """Return the handover without any password."""
    order, location = handover.order, handover.order.artifact_location
    order = replace(
        order,
        uri=without_credentials(order.uri),
        artifact_location=None if location is None else without_credentials(location),
    )
    return replace(handover, order=order)


def read_handover(directory: RunDirectory) -> Handover | None:
    """Return what the last job of the run left, None if none did; ValueError if it is damaged."""
    path = handover_path(directory)
    content = read_mark(path)
    if content is None:
        return None
    if (version := content.pop("version", None)) != HANDOVER_VERSION:
        raise ValueError(f"{path} has version {version}, expected {HANDOVER_VERSION}")
    try:
        return handover_of(content)
    except (TypeError, KeyError) as error:  # of names that are missing, or that nobody knows
        raise damaged(path, str(error)) from error


def handover_of(content: Mapping[str, Any]) -> Handover:
    """Return the handover that `asdict` made plain."""
    return Handover(**{**content, "order": Order(**content["order"])})


def stores_of(directories: Iterable[RunDirectory]) -> dict[str, str]:
    """Return the files to which runs were handed over, each by how the config writes its address.

    A config may write a path that depends on where the user stood when the run began.
    """
    handovers = [read_handover(directory) for directory in directories]
    orders = [handover.order for handover in handovers if handover is not None]
    return {order.written: order.uri for order in orders if hands_over(order.uri)}


def is_delivered(directory: RunDirectory, state: str, *, address: str) -> bool:
    """Tell whether the server at `address` has all of a run that ended in this `state`."""
    mark = MarkFile(directory.tracker("mlflow")).load(address)
    has_all_rows = count_rows(directory.journal, offset=mark.offset) == 0
    is_told = mark.state == mlflow_state(state) and mark.told in (None, state)
    return is_told and has_all_rows and not new_evaluations(directory, mark)


def stamp_of(path: Path) -> int:
    """Return when `path` was written, in nanoseconds; 0 if it is not there."""
    return path.stat().st_mtime_ns if path.exists() else 0
