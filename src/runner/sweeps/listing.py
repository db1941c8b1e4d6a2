"""Runs and sweeps as a list shows them, of which no more is read than the list asks for."""

import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from runner.errors import RunnerError
from runner.run.config_values import ConfigValues
from runner.run.directory import RunDirectory
from runner.run.provenance import read_provenance
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.pace import last_row
from runner.sweeps.places import Place
from runner.sweeps.record import SweepRecord
from runner.sweeps.slurm.book import JobBook
from runner.sweeps.slurm.standing import Standing, book_of, standings_of
from runner.sweeps.summary import RunRow, SweepSummary, counts_of, ranked, run_row, summarize

_APART = re.compile(r" (?=[+~]*[\w./@-]+=)")  # a value may have spaces: "500 steps"
_UNDER_WAY = ("running",)
_DAMAGES = (RunnerError, OSError, ValueError, TypeError, LookupError, AttributeError)


@dataclass(kw_only=True)
class ListedRun:
    """A run of its own or of a sweep; what costs a file more is read when it is asked for."""

    name: str
    row: RunRow
    metric: str  # of its score; "": judged by several
    mode: str  # min | max
    config: ConfigValues = field(repr=False)
    now: float
    provenance: Mapping[str, Any] | None = field(default=None, repr=False)  # None: not read yet

    @property
    def path(self) -> Path:
        return self.row.path

    @property
    def state(self) -> str:
        return self.row.state

    @cached_property
    def began(self) -> float | None:
        """When its first job began, in seconds since 1970; None before that."""
        return self._jobs[0]["time"] if self._jobs else None

    @cached_property
    def seconds(self) -> float | None:
        """From its first start to its last sign of life."""
        if self.began is None:
            return None
        if self.state in _UNDER_WAY:
            return max(0.0, self.now - self.began)
        last = last_row(RunDirectory(self.path).journal)
        return None if last is None else max(0.0, last.time - self.began)

    @property
    def last_seen(self) -> float | None:
        """When it last gave a sign of life."""
        return None if self.began is None else self.began + (self.seconds or 0.0)

    @property
    def overrides(self) -> Sequence[str]:
        """What tells it from others: as a sweep set it, or as it was typed."""
        if self.row.label:
            return _APART.split(self.row.label)
        return self._jobs[0].get("overrides", []) if self._jobs else []

    @cached_property
    def _jobs(self) -> Sequence[Mapping[str, Any]]:
        if self.provenance is not None:
            return self.provenance["jobs"]
        path = RunDirectory(self.path).provenance
        try:
            return read_provenance(path)["jobs"] if path.is_file() else []
        except _DAMAGES:  # a run of a sweep; its row is told nevertheless
            return []


@dataclass(frozen=True, kw_only=True)
class ListedSweep:
    """A sweep with those of its runs that are to be shown, of `total` in all."""

    name: str
    path: Path
    record: SweepRecord
    runs: Sequence[ListedRun]
    total: int
    is_running: bool
    is_whole: bool = True  # no run was left out by what was asked for

    @property
    def counts(self) -> dict[str, int]:
        """How many of the runs are in which state."""
        return counts_of(run.row for run in self.runs)

    @property
    def best(self) -> ListedRun | None:
        """The best completed run, or else the best of what there is."""
        if not self.record.best_mode:
            return None
        by_number = {run.row.number: run for run in self.runs}
        completed = [run.row for run in self.runs if run.state == "completed"]
        mode = self.record.best_mode
        rows = ranked(completed, mode=mode) or ranked([run.row for run in self.runs], mode=mode)
        return by_number[rows[0].number] if rows else None

    @property
    def began(self) -> float | None:
        return self.record.starts[0]["time"] if self.record.starts else None

    @property
    def last_seen(self) -> float | None:
        """When one of its runs last wrote its state."""
        ages = [run.row.age_seconds for run in self.runs if run.row.age_seconds is not None]
        return self.runs[0].now - min(ages) if ages else self.began

    @property
    def seconds(self) -> float | None:
        if self.began is None or self.last_seen is None:
            return None
        return max(0.0, self.last_seen - self.began)


@dataclass(frozen=True, kw_only=True)
class Damaged:
    """A place that cannot be read, and why."""

    path: Path
    problem: str


Listed = ListedRun | ListedSweep | Damaged


def read_places(places: Iterable[Place]) -> tuple[list[Listed], str | None]:
    """Read what lies there, and why Slurm could not be asked, if it had to be and could not.

    However many jobs are on a cluster, it is asked once.
    """
    places = list(places)
    standings, problem = _standings(places)
    now = time.time()
    return [_read(place, standings.get(place), now) for place in places], problem


def _standings(places: Sequence[Place]) -> tuple[dict[Place, Standing], str | None]:
    # Before the files are read: a job that ends in between has left its last word in them.
    asked = []
    for place in places:
        if place.is_in_sweep or os.path.exists(RunDirectory(place.path).slurm):  # noqa: PTH110
            book, number = book_of(place.path)
            asked.append((place, book, None if number is None else [number]))
    try:
        answers = standings_of((book, numbers) for _, book, numbers in asked)
    except (OSError, ValueError, LookupError) as error:
        return {}, f"the record of the jobs is damaged: {error}"
    found = {place: answer for (place, *_), answer in zip(asked, answers, strict=True) if answer}
    return found, next((each.problem for each in found.values() if each.problem), None)


def _read(place: Place, standing: Standing | None, now: float) -> Listed:
    if place.kind == "broken":
        return Damaged(path=place.path, problem=place.problem)
    try:
        if place.kind == "sweep":
            return _sweep(SweepDirectory(place.path), standing, now)
        return _run(RunDirectory(place.path), standing, now)
    except _DAMAGES as error:
        words = " ".join(str(error).split()) or type(error).__name__
        return Damaged(path=place.path, problem=f"cannot be read: {words}")


def _sweep(directory: SweepDirectory, standing: Standing | None, now: float) -> ListedSweep:
    summary: SweepSummary = summarize(directory)
    if standing is not None:
        summary = replace(summary, rows=standing.seen(summary.rows))
    record = summary.record
    runs = [
        ListedRun(
            name=record.name,
            row=row,
            metric=record.best_metric,
            mode=record.best_mode,
            config=ConfigValues(RunDirectory(row.path).config, known=row.config),
            now=now,
        )
        for row in summary.rows
    ]
    return ListedSweep(
        name=record.name,
        path=directory.path,
        record=record,
        runs=runs,
        total=max(len(runs), record.total or 0),
        is_running=summary.is_running,
    )


def _run(directory: RunDirectory, standing: Standing | None, now: float) -> ListedRun:
    if directory.provenance.is_file():
        provenance = read_provenance(directory.provenance)
        name, config = provenance["name"], ConfigValues(directory.config)
    else:  # in the queue of a cluster
        provenance = {"jobs": []}
        opening = JobBook(directory.slurm).opening or {}
        config = ConfigValues(directory.config, known=opening.get("config") or {})
        name = str(config.get("name"))
    trainer = config.section("trainer")
    number = 0 if standing is None else next(iter(standing.ids), 0)  # there is one at most
    row = run_row(directory, number=number, config={"trainer": trainer}, now=now)
    return ListedRun(
        name=name,
        row=standing.seen([row])[0] if standing is not None else row,
        metric=str(trainer.get("best_metric") or "evaluation.loss"),
        mode=str(trainer.get("best_mode") or "min"),
        config=config,
        now=now,
        provenance=provenance,
    )
