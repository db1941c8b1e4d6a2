"""Read what is to be compared: runs, the runs of sweeps, and those below folders."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.cli.ls import shown_path
from runner.config.layout import leaves
from runner.config.written import read_config
from runner.errors import RunError, RunnerError
from runner.reports.comparison.runs import ComparedRun
from runner.run.directory import RunDirectory
from runner.run.journal import read_journal
from runner.run.latest import latest_status
from runner.run.provenance import code_of_last_job, read_provenance
from runner.run.status import Status
from runner.sweeps.directory import SweepDirectory, is_sweep
from runner.sweeps.ledger import read_ledger
from runner.sweeps.places import places_in

_Found = tuple[RunDirectory, str, Sequence[str] | None]  # a run, its sweep, what that has set
_DAMAGES = (RunnerError, OSError, ValueError, TypeError, LookupError, AttributeError)


def read_runs(paths: Sequence[Path]) -> tuple[list[ComparedRun], list[str]]:
    """Return the runs that have begun, and sentences about what could not be taken.

    RunError without two runs.
    """
    runs: list[ComparedRun] = []
    places, notes = _once(paths)
    for directory, origin, overrides in places:
        if not directory.provenance.is_file():
            notes.append(f"{shown_path(directory.path)} has not begun, or has no run.json.")
            continue
        try:
            runs.append(_read(directory, origin, overrides))
        except _DAMAGES as error:
            words = " ".join(str(error).split())
            notes.append(f"{shown_path(directory.path)} cannot be read: {words}")
    if len(runs) < 2:
        told = f": {' '.join(notes)}" if notes else ""
        found = f"only {runs[0].path}" if runs else f"none in {', '.join(map(str, paths))}"
        raise RunError(
            f"to compare takes two runs that have begun, or a sweep of two; found {found}{told}"
        )
    return runs, notes


def _once(paths: Sequence[Path]) -> tuple[list[_Found], list[str]]:
    """Return each run once, however often it was named; one of a sweep with its sweep."""
    real = [path.resolve() for path in paths]
    again = dict.fromkeys(path for at, path in enumerate(paths) if real[at] in real[:at])
    notes = [f"{shown_path(path)} was named twice, and is taken once." for path in again]
    notes += _inside_of_another(dict(zip(real, paths, strict=True)))
    found: dict[Path, _Found] = {}
    for each in _directories(paths):
        directory, origin, _ = each
        here = directory.path.resolve()
        if here not in found:
            found[here] = each
            continue
        notes.append(
            f"{shown_path(directory.path)} is a run of {origin or found[here][1]}, which was named "
            "too, and is taken once."
        )
        found[here] = each if origin else found[here]
    return list(found.values()), notes


def _inside_of_another(named: Mapping[Path, Path]) -> Iterator[str]:
    """Tell what lies in a folder that is named too; of a run of a sweep its sweep is told."""
    for real, path in named.items():
        around = next((named[one] for one in real.parents if one in named), None)
        if around is not None and not is_sweep(around):
            yield (
                f"{shown_path(path)} lies in {shown_path(around)}, which was named too, and is "
                "taken once."
            )


def _directories(paths: Sequence[Path]) -> Iterator[_Found]:
    """Give each run, the sweep it was given with ("" for none), and what its sweep set."""
    for place in places_in(paths):
        if not is_sweep(place.path):
            yield RunDirectory(place.path), "", None
            continue
        sweep = SweepDirectory(place.path)
        for run in read_ledger(sweep.ledger):
            yield sweep.job(run.number), str(place.path), run.overrides


def _read(directory: RunDirectory, origin: str, overrides: Sequence[str] | None) -> ComparedRun:
    provenance = read_provenance(directory.provenance)
    config = read_config(directory.config) or {}
    trainer = config.get("trainer") or {}
    status = latest_status(directory) or Status(state="queued")
    typed = provenance["jobs"][0].get("overrides", []) if provenance["jobs"] else []
    return ComparedRun(
        name=provenance["name"],
        path=shown_path(directory.path),
        state=status.state,
        step=status.step,
        config=leaves(config),
        overrides=typed if overrides is None else overrides,
        code=code_of_last_job(provenance),
        surroundings=_surroundings(provenance),
        metric=str(trainer.get("best_metric") or "evaluation.loss"),
        mode=str(trainer.get("best_mode") or "min"),
        score=status.score,
        best_step=status.best_step,
        rows=read_journal(directory.journal),
        origin=origin,
    )


def _surroundings(provenance: Mapping[str, Any]) -> dict[str, str]:
    machine = {name: str(value) for name, value in (provenance.get("machine") or {}).items()}
    host = {job["host"] for job in provenance["jobs"] if job.get("host")}
    return {
        **{name: str(version) for name, version in (provenance.get("versions") or {}).items()},
        **machine,
        **({"host": ", ".join(sorted(host))} if host else {}),
    }
