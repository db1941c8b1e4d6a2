"""`sync`: feed the trackers from the journals of runs and sweeps, for jobs that could not.

No torch here: it runs on a login node.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from runner.cli.syncing.runs import Feeding, sync_run, sync_run_of_sweep
from runner.cli.syncing.sweep import sync_sweep
from runner.config.trust import NOBODY_ELSE, Trust
from runner.errors import RunError, RunnerError
from runner.run.directory import RunDirectory
from runner.run.signature import StrangerError, refuse_stranger
from runner.sweeps import record
from runner.sweeps.directory import SweepDirectory, is_sweep
from runner.trackers.mlflow.uri import checked_tracking_uri
from runner.trackers.tracker import Synced


def sync(paths: Sequence[Path], *, to: str | None = None, trust: Trust = NOBODY_ELSE) -> None:
    """Deliver what is missing of all that lies in `paths`, a line for each; `to` another server.

    What was made elsewhere needs `trust`. RunError at the end if a server did not take all, or
    nothing was found.
    """
    if to is not None:
        to = checked_tracking_uri(to, at="--to")
    places = list(dict.fromkeys(place for path in paths for place in _places(path)))
    if not places:
        raise RunError(
            f"{', '.join(map(str, paths))}: neither a run (no run.json) nor a sweep (no "
            "sweep.json) lies there"
        )
    feeding = Feeding(to)
    problems: list[str] = []
    strangers: list[StrangerError] = []
    for place in places:
        try:
            _refuse_stranger(place, trust)
            for synced in _sync(place, feeding):
                if not synced.problem or len(places) > 1:  # of one place the error tells it
                    print(f"{place}: {synced.place}: {_said(synced)}", flush=True)
                if synced.problem:
                    is_alone = len(places) == 1
                    problems.append(f"{place}: {_said(synced)}" if is_alone else synced.problem)
        except StrangerError as error:
            strangers.append(error)
        except Exception as error:  # whatever one run holds, it hides no other
            reason = _reason(error)
            print(f"{place}: cannot be delivered: {reason}", flush=True)
            problems.append(f"{place}: {reason}")
    if len(places) == 1 and len(problems) > 1:
        problems = ["\n".join(problems)]
    _tell(problems, strangers, paths)


def _tell(problems: list[str], strangers: list[StrangerError], paths: Sequence[Path]) -> None:
    """Raise RunError if there was a problem; what is to be trusted is told once for all."""
    if not problems and not strangers:
        return
    for each in strangers if problems or len(strangers) > 1 else ():
        print(f"{each.path}: not delivered, since it was made elsewhere", flush=True)
    if strangers:
        first = strangers[0]
        raise first if len(strangers) == 1 else first.for_all(paths, count=len(strangers))
    others = len(set(problems)) - 1
    raise RunError(f"{problems[0]}{f' ({others} other problems, above)' if others else ''}")


def _reason(error: Exception) -> str:
    is_sentence = isinstance(error, RunnerError | OSError | ValueError)
    return str(error) if is_sentence else f"{type(error).__name__}: {error}"


def _refuse_stranger(place: Path, trust: Trust) -> None:
    """Refuse what others wrote: configs, marks and handovers say what is sent, and to whom."""
    if is_sweep(place):
        record.refuse_stranger(SweepDirectory(place), trust, to="sync")
    else:
        refuse_stranger(RunDirectory(place), trust, to="sync")


def _places(path: Path) -> Iterator[Path]:
    """Give the runs and sweeps in `path`; the runs of a sweep are with their sweep."""
    if is_sweep(path) or RunDirectory(path).provenance.is_file():
        yield path
        return
    for name in sorted(entry.name for entry in os.scandir(path) if _is_folder(entry)):
        yield from _places(path / name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")


def _sync(place: Path, feeding: Feeding) -> Iterator[Synced]:
    if not is_sweep(place):
        yield from sync_run(RunDirectory(place), feeding)
        return
    alone, delivered = sync_sweep(SweepDirectory(place), feeding)
    yield from delivered
    for directory in alone:
        for synced in sync_run_of_sweep(directory, feeding):
            yield replace(synced, place=f"run {directory.path.name}: {synced.place}")


def _said(synced: Synced) -> str:
    if synced.problem:
        said = f"{synced.new} rows delivered, not all: {synced.problem}"
    elif synced.note:
        said = synced.note
    elif synced.new:
        said = f"{synced.new} rows delivered, {synced.there} were there"
    elif synced.has_told:
        said = f"files and state delivered, {synced.there} rows were there"
    else:
        said = f"nothing new, {synced.there} rows are there"
    return said
