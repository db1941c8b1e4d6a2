"""`ServiceSink`: gives rows to one of accelerate's trackers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.config.layout import leaves
from runner.run.directory import RunDirectory
from runner.run.journal import Row
from runner.trackers.accelerate.services import arguments_of, learnt_arguments
from runner.trackers.follower import Follower
from runner.trackers.tracker import TrackedRun


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What is delivered, and where to: the first message to a delivery process."""

    directory: str
    name: str
    tracker: str
    log_with: str
    project: str
    logging_dir: str
    init_kwargs: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def follower(self) -> Follower:
        """Return what brings the rows there."""
        run = TrackedRun(
            directory=RunDirectory(Path(self.directory)),
            name=self.name,
            tracker=self.tracker,
            parameters=self.parameters,
            tags=self.tags,
        )
        return Follower(
            run,
            lambda run, state: ServiceSink(run, state, self),
            target=f"{self.log_with} {self.project}",
        )


class ServiceSink:
    """A sink: a run of the service that `delivery.log_with` names."""

    def __init__(
        self, run: TrackedRun, state: Mapping[str, Any] | None, delivery: Delivery
    ) -> None:
        from accelerate import PartialState
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS

        PartialState(cpu=True)  # its trackers' own log asks for it
        self.continues = state is not None
        name = delivery.log_with
        self._tracker = LOGGER_TYPE_TO_CLASS[name](
            **{
                **arguments_of(name, run, delivery.project, delivery.logging_dir),
                **({} if state is None else state["learnt"]),
                **delivery.init_kwargs,
            }
        )
        self._tracker.start()
        self._learnt = dict(learnt_arguments(name, self._tracker))
        self._taken = 0  # rows that a call that failed has delivered
        if state is None:
            self._tracker.store_init_configuration(_flat(run))

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows[self._taken :]:
            values = {f"{row.split}/{name}": value for name, value in row.values.items()}
            self._tracker.log(values, step=row.step)
            self._taken += 1
        self._taken = 0

    def state_dict(self) -> dict[str, Any]:
        return {"learnt": self._learnt}

    def close(self, state: str) -> None:  # noqa: ARG002 - accelerate has no word for it
        self._tracker.finish()


def _flat(run: TrackedRun) -> dict[str, Any]:
    """Return parameters and tags with the types that accelerate takes."""
    parameters = {
        key: value if isinstance(value, bool | int | float | str) else str(value)
        for key, value in leaves(run.parameters).items()
    }
    return parameters | {f"tags.{name}": text for name, text in run.tags.items()}
