"""The ledger `ledger.jsonl`: every run that belongs to a sweep, once, append-only.

One JSON object a line. Numbers are given here and never again; what became of a run is not here but
in its own directory, which is the truth.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from runner.errors import RunError
from runner.files import drop_torn_line, sync_directory, write_text_atomically


@dataclass(frozen=True, kw_only=True)
class Combination:
    """A run that a sweep wants: what its overrides make of the base config."""

    key: str  # its identity, see identity.py
    overrides: tuple[str, ...]  # the swept ones, as a user types them: "optimizer.lr=0.001"
    config: Mapping[str, Any] = field(repr=False)  # frozen; hardware.threads may be open (None)


@dataclass(frozen=True, kw_only=True)
class PlannedRun(Combination):
    """A run that has its place in the sweep: the directory `number`."""

    number: int

    @property
    def label(self) -> str:
        """What tells this run from the others: "optimizer.lr=0.001 seed=2"."""
        return " ".join(self.overrides)


class Ledger:
    """The ledger at `path`, open for appending, by the one process that holds the sweep."""

    def __init__(self, path: Path) -> None:
        self._path = path
        drop_torn_line(path)
        self.runs: dict[str, PlannedRun] = {run.key: run for run in read_ledger(path)}

    def add(self, wanted: Iterable[Combination]) -> list[PlannedRun]:
        """Return the run of each of `wanted`; those that are new get numbers and are written."""
        new: list[PlannedRun] = []
        found: list[PlannedRun] = []
        for combination in wanted:
            run = self.runs.get(combination.key)
            if run is None:
                run = PlannedRun(number=self._next_number(), **_fields(combination))
                self.runs[run.key] = run
                new.append(run)
            found.append(run)
        if new:
            self._append(new)
        return found

    def _next_number(self) -> int:
        """Return a number that no run has, and whose directory no one else has filled."""
        number = max((run.number for run in self.runs.values()), default=-1) + 1
        while (self._path.parent / str(number)).exists():
            number += 1
        return number

    def replace(self, runs: Sequence[PlannedRun]) -> None:
        """Write other configs for runs that are there, all at once, if any is another one."""
        if all(self.runs[run.key] == run for run in runs):
            return
        self.runs.update({run.key: run for run in runs})
        lines = "".join(_line(run) for run in self.runs.values())
        write_text_atomically(self._path, lines)

    def _append(self, runs: Sequence[PlannedRun]) -> None:
        """Write all of `runs` at once; they survive a power loss from here on."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(_line(run) for run in runs)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
        sync_directory(self._path.parent)


def read_ledger(path: Path) -> list[PlannedRun]:
    """Return the runs of the ledger at `path` in the order of their numbers; none without one."""
    if not path.exists():
        return []
    runs = []
    with path.open(encoding="utf-8") as file:
        for line in file:
            if not line.endswith("\n"):  # its writer was killed, or is in the middle of it
                break
            try:
                entry = json.loads(line)
                runs.append(PlannedRun(**{**entry, "overrides": tuple(entry["overrides"])}))
            except (ValueError, TypeError, KeyError) as error:
                raise RunError(f"{path} is damaged at line {len(runs) + 1}: {error}") from error
    return runs


def _line(run: PlannedRun) -> str:
    return json.dumps(asdict(run), ensure_ascii=False) + "\n"


def _fields(combination: Combination) -> dict[str, Any]:
    return {
        "key": combination.key,
        "overrides": combination.overrides,
        "config": combination.config,
    }
