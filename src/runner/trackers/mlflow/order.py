"""`Order`: what a delivery to MLflow is about; the first message to its process."""

import json
from dataclasses import dataclass, field
from typing import IO


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to deliver, and where to, with the password if there is one."""

    directory: str
    name: str
    uri: str
    written: str  # the address as the config writes it
    experiment: str
    artifact_location: str | None
    started_ms: int
    parameters: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    sweep: str | None = None  # the directory of that below which the run is shown
    datasets: list[dict[str, str]] = field(default_factory=list)  # see datasets.py
    checkpoints: str = "none"  # none | kept | all
    register_as: str | None = None


def read_order(pipe: IO[str]) -> Order:
    """Return the first message."""
    return Order(**json.loads(pipe.readline()))
