"""`Trace`: all that one run under verification left behind, as digests."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from runner.checkpoint.manifest import committed_steps, step_path
from runner.checkpoint.parts import read_parts, records
from runner.checkpoint.sharded import holds_sharded
from runner.checkpoint.sharded_writer import FOLDER
from runner.errors import RunError
from runner.run.directory import RunDirectory
from runner.run.journal import read_journal
from runner.verify.recording import digest

# What depends on the clock and is meant to.
TIMES = ("progress.seconds",)


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One line of the record: training begins, or a step has been done."""

    step: int
    weights: Mapping[str, str]
    generators: Mapping[str, str]
    updated: Mapping[str, str]  # the weights before the callbacks saw them
    batches: list[Mapping[str, str]]  # samples, batch and loss of each micro-batch


@dataclass(frozen=True, kw_only=True)
class Trace:
    """What one rank of one run did; of a step that ran twice, the second time counts."""

    starts: list[Moment]  # one for each job
    steps: Mapping[int, Moment]
    journal: Mapping[str, Mapping[str, float]]  # by "split, step 4"
    state: Mapping[str, Mapping[str, str]]  # the last checkpoint: digests by part and by path


def read_traces(records: Path, directory: RunDirectory) -> list[Trace]:
    """Return the trace of each rank; journal and checkpoint are those of the run, with rank 0."""
    files = sorted(records.glob("rank_*.jsonl"), key=lambda path: int(path.stem[5:]))
    if not files:
        raise RunError(f"the run in {directory.path} did not come to its first step")
    return [_trace(file, directory if number == 0 else None) for number, file in enumerate(files)]


def has_line(records: Path, kind: str) -> bool:
    """Return whether rank 0 has written a line of `kind`."""
    return any(line["kind"] == kind for line in _lines(records / "rank_0.jsonl"))


def _trace(file: Path, directory: RunDirectory | None) -> Trace:
    lines = list(_lines(file))
    parameters = next((line["parameters"] for line in lines if line["kind"] == "start"), [])
    steps = {line["step"]: _moment(line) for line in lines if line["kind"] == "step"}
    return Trace(
        starts=[_moment(line) for line in lines if line["kind"] == "start"],
        steps=steps,
        journal={} if directory is None else _journal(directory),
        state={} if directory is None else state_of(directory, parameters),
    )


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    if not file.exists():
        return
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):  # else the kill came in the middle of it
                yield json.loads(line)


def _moment(line: Mapping[str, Any]) -> Moment:
    return Moment(
        step=line["step"],
        weights=line["weights"],
        generators=line["generators"],
        updated=line.get("updated", {}),
        batches=line.get("batches", []),
    )


def _journal(directory: RunDirectory) -> dict[str, Mapping[str, float]]:
    rows = (row for row in read_journal(directory.journal) if row.split != "speed")
    return {f"{row.split} row of step {row.step}": row.values for row in rows}


def state_of(
    directory: RunDirectory, parameters: list[str] | None = None
) -> dict[str, dict[str, str]]:
    """Return the parts of the newest checkpoint, each flat (path -> digest); without times.

    With the names of the `parameters` in their order the state of the optimizer is named, too.
    """
    steps = committed_steps(directory.checkpoints)
    if not steps:
        raise RunError(f"{directory.path} has no checkpoint to compare")
    parts: dict[str, dict[str, str]] = {}
    for name, content in _contents(step_path(directory.checkpoints, steps[-1])):
        flat = {path: digest(leaf) for path, leaf in _leaves(content) if path not in TIMES}
        for path, value in flat.items():
            part, _, rest = (name, "", path) if name else _split(path)
            parts.setdefault(part, {})[_named(part, rest, parameters or [])] = value
    return parts


def _contents(folder: Path) -> Iterator[tuple[str, Any]]:
    """Yield what the files of a checkpoint hold, and how to call it ("": as it calls itself)."""
    from safetensors.torch import load_file

    if holds_sharded(folder / FOLDER):
        yield from _sharded(folder / FOLDER)
    for path in sorted(folder.iterdir()):
        if path.suffix == ".safetensors":
            kind = path.stem.partition("-")[0]
            yield {"model": "weights"}.get(kind, f"{kind} weights"), load_file(path)
        elif path.suffix == ".pt":
            content = torch.load(path, map_location="cpu", weights_only=True)
            kind = {"training": ""}.get(path.stem, path.stem.replace("rank_", "own to rank "))
            yield kind, content


def _sharded(folder: Path) -> Iterator[tuple[str, Any]]:
    """Yield the parts of what several ranks wrote together, each tensor whole."""
    whole = {
        name: torch.empty(saved.size, dtype=saved.properties.dtype)
        for name, saved in records(folder).items()
    }
    read_parts(whole, folder)
    names = {"model": "weights", "average": "average weights"}
    for name, tensor in whole.items():
        owner, _, rest = name.partition(".")
        yield names.get(owner, owner), {rest or owner: tensor}


def _leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list | tuple) and any(isinstance(i, Mapping | Tensor) for i in value):
        for number, item in enumerate(value):
            yield from _leaves(item, f"{prefix}.{number}")
    else:
        yield prefix, value


def _split(path: str) -> tuple[str, str, str]:
    """Split at the end of the part's name; that of a callback has two words."""
    words = path.split(".")
    count = 2 if words[0] == "callbacks" else 1
    return ".".join(words[:count]), ".", ".".join(words[count:])


def _named(part: str, path: str, parameters: list[str]) -> str:
    """Add to a number in the state of an optimizer the name of its parameter.

    One of several optimizers has the parameters of the part of the model that has its name.
    """
    owner, between, number = path.partition("state.")
    number = number.partition(".")[0]
    if part == "optimizer" and between and number.isdigit():
        own = [name for name in parameters if name.startswith(owner)]
        if int(number) < len(own):
            return f"{path} (of {own[int(number)]})"
    return path
