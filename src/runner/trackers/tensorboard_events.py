"""TensorBoard's events, as bytes; imports tensorboard (45 ms), so it is imported late itself."""

import io
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event  # type: ignore[attr-defined]
from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[attr-defined]
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.api_pb2 import Status  # type: ignore[attr-defined]
from tensorboard.plugins.hparams.plugin_data_pb2 import (
    HParamsPluginData,  # type: ignore[attr-defined]
    SessionEndInfo,  # type: ignore[attr-defined]
)
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from runner.config.layout import leaves
from runner.run.journal import Row
from runner.trackers.tracker import TrackedRun

_STATUS = {"completed": "STATUS_SUCCESS", "failed": "STATUS_FAILURE"}


def header() -> bytes:
    """Return what an event file begins with."""
    return _records([Event(wall_time=time.time(), file_version="brain.Event:2")])


def scalars(rows: Sequence[Row]) -> bytes:
    """Return the values of `rows` as scalars "split/name", at their steps and times."""
    return _records(
        Event(
            wall_time=row.time,
            step=row.step,
            summary=Summary(
                value=[
                    Summary.Value(tag=f"{row.split}/{name}", simple_value=value)
                    for name, value in row.values.items()
                ]
            ),
        )
        for row in rows
    )


def description(run: TrackedRun, *, step: int) -> bytes:
    """Return the parameters, for the tables of hyperparameters and as a text, and the tags."""
    config = json.dumps(run.parameters, indent=2, ensure_ascii=False, default=str)
    return _summaries(
        [
            hparams_pb(_hparams(run.parameters), trial_id=str(run.directory.path)),
            text_pb("config", f"```json\n{config}\n```"),
            *(text_pb(f"tags/{name}", text) for name, text in run.tags.items()),
        ],
        step=step,
    )


def ending(state: str, *, step: int) -> bytes:
    """Return how the run ended."""
    status = Status.Value(_STATUS.get(state, "STATUS_UNKNOWN"))
    info = SessionEndInfo(status=status, end_time_secs=time.time())
    content = metadata.create_summary_metadata(HParamsPluginData(session_end_info=info))
    value = Summary.Value(
        tag=metadata.SESSION_END_INFO_TAG, metadata=content, tensor=metadata.NULL_TENSOR
    )
    return _summaries([Summary(value=[value])], step=step)


def _summaries(summaries: Sequence[Any], *, step: int) -> bytes:
    return _records(Event(wall_time=time.time(), step=step, summary=one) for one in summaries)


def _records(events: Any) -> bytes:
    content = io.BytesIO()
    writer = RecordWriter(content)
    for event in events:
        writer.write(event.SerializeToString())
    return content.getvalue()


def _hparams(parameters: Mapping[str, Any]) -> dict[str, bool | int | float | str]:
    return {
        key: value if isinstance(value, bool | int | float | str) else json.dumps(value)
        for key, value in leaves(parameters).items()
    }
