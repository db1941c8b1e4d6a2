"""Read what a page of a run says from the run's own files, whatever is missing or damaged."""

import json
import shlex
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from runner.cli.pages.checkpoints import checkpoints_of
from runner.cli.pages.evaluations import evaluations_of
from runner.cli.pages.jobs import jobs_of
from runner.cli.pages.samples import samples_of
from runner.config.written import read_config
from runner.errors import RunError
from runner.files import leads_out
from runner.reports.reliability import ReliabilityReport, reliability_from
from runner.reports.run.facts import CodeFacts, RunFacts
from runner.run.data_note import read_data_note
from runner.run.directory import RunDirectory
from runner.run.journal import readable_rows
from runner.run.provenance import read_provenance
from runner.run.signature import is_ours
from runner.sweeps.history import describe_code
from runner.sweeps.summary import log_of, run_row

_Read = TypeVar("_Read")

_LOG_LINES = 60
_LOG_BYTES = 64_000
_UNTOLD = ("completed", "running", "queued")  # states whose log nobody asks for


def facts_of(directory: RunDirectory) -> RunFacts:
    """Return what the page of a run says, from the run's own files.

    RunError for a run from elsewhere with links that lead out of it.
    """
    _refuse_links_out(directory)
    provenance = read_provenance(directory.provenance)
    config = (read_config(directory.config) if directory.config.is_file() else None) or {}
    trainer = config.get("trainer") or {}
    metric = str(trainer.get("best_metric", "evaluation.loss"))
    row = run_row(directory, config=config)
    rows, damaged = readable_rows(directory.journal)
    jobs = provenance["jobs"]
    evaluations, problems = evaluations_of(directory)
    if damaged:
        problems.insert(0, _damaged(directory.journal.name, damaged))
    samples = _guarded(lambda: samples_of(directory, config), problems)
    reliability = _guarded(lambda: _reliability(directory), problems)
    started = jobs[0]["time"] if jobs else None
    last = max((one.time for one in rows), default=None)
    return RunFacts(
        name=f"{provenance['name']}/{directory.path.resolve().name}",
        path=_typed(directory.path),
        state=row.state,
        step=row.step,
        planned_steps=row.planned_steps,
        command=shlex.join(jobs[0].get("command", [])) if jobs else "",
        metric=metric,
        mode=str(trainer.get("best_mode", "min")),
        score=row.score,
        best_step=row.best_step,
        seconds=max(0.0, last - started) if last is not None and started is not None else None,
        started=started,
        last_row=last,
        error=row.error,
        problems=problems,
        code=_code(provenance),
        versions=provenance.get("versions") or {},
        machine=_scalars(provenance.get("machine")) | _scalars(provenance.get("source")),
        packages=_scalars(provenance.get("packages")),
        data=_data(config, directory),
        initial_weights=_initial_weights(directory),
        jobs=jobs_of(directory, jobs, state=row.state),
        rows=rows,
        evaluations=evaluations,
        samples=samples,
        reliability=reliability,
        checkpoints=checkpoints_of(directory, rows, metric=metric),
        reads_pictures=directory.preprocessor.is_dir(),
        config=_lines(directory.config),
        given=_given(jobs),
        log=_last_lines(directory) if row.state not in _UNTOLD else [],
    )


def _guarded(read: Callable[[], _Read | None], problems: list[str]) -> _Read | None:
    """Return what `read` gives; what cannot be read is told among the problems."""
    try:
        return read()
    except RunError as error:
        problems.append(f"{error}; the page is without.")
        return None


def _refuse_links_out(directory: RunDirectory) -> None:
    """Keep what a stranger's links point to out of a page, which is made to be passed on."""
    if is_ours(directory):
        return
    for path in directory.path.rglob("*"):
        is_weighed_alone = path.is_relative_to(directory.checkpoints)
        if path.is_symlink() and not is_weighed_alone and leads_out(directory.path, path):
            raise RunError(
                f"{path} leads out of the run, which is not known as yours: its page would show "
                "what lies there; remove the link"
            )


def _scalars(node: object) -> dict[str, str]:
    """Return what stands right in a node of run.json, as text; nothing for what is empty."""
    pairs = node.items() if isinstance(node, Mapping) else ()
    return {
        str(name): str(one)
        for name, one in pairs
        if isinstance(one, str | int | float) and one != ""
    }


def _damaged(name: str, numbers: list[int]) -> str:
    shown = ", ".join(str(number) for number in numbers[:5]) + (" ..." if len(numbers) > 5 else "")
    lines = "line" if len(numbers) == 1 else "lines"
    return f"{name}: {lines} {shown} cannot be read; the curves are without."


def _typed(path: Path) -> str:
    """Return a path as one would type it here: relative where it lies below this folder."""
    whole, here = path.resolve(), Path.cwd()
    inside = whole.is_relative_to(here) and whole != here
    return str(whole.relative_to(here)) if inside else str(whole)


def _code(provenance: Mapping[str, Any]) -> CodeFacts:
    codes = [provenance["code"], *(job["code"] for job in provenance["jobs"] if "code" in job)]
    latest = codes[-1]
    return CodeFacts(
        states=list(dict.fromkeys(describe_code(code) for code in codes)),
        branch=latest.get("branch"),
        diff=(latest.get("diff") or "").splitlines(),
    )


def _data(config: Mapping[str, Any], directory: RunDirectory) -> list[tuple[str, str]]:
    """Return what the data are, and their fingerprint where it was written down."""
    data = config.get("data")
    told: list[tuple[str, str]] = []
    if isinstance(data, Mapping) and data.get("_target_"):
        root = f", {data['root']}" if isinstance(data.get("root"), str) else ""
        told.append(("Data", f"{data['_target_']}{root}"))
    if marks := read_data_note(directory.data):
        text = ", ".join(f"{split} {mark}" for split, mark in marks.items())
        told.append(("Data fingerprint", text))
    return told


def _initial_weights(directory: RunDirectory) -> list[tuple[str, str]]:
    try:
        taken = json.loads(directory.init_weights.read_text(encoding="utf-8"))
        kinds = ("loaded", "missing", "unexpected", "mismatched")
        counts = ", ".join(f"{len(taken[kind])} {kind}" for kind in kinds if taken.get(kind))
        return [("First weights", f"{taken['source']}: {counts}")]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [("First weights", f"{directory.init_weights.name} cannot be read: {error}")]


def _given(jobs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return what was given on the command line, to the first job and to later ones."""
    return list(dict.fromkeys(word for job in jobs for word in job.get("overrides", [])))


def _reliability(directory: RunDirectory) -> ReliabilityReport | None:
    if not directory.reliability.is_file():
        return None
    try:
        return reliability_from(json.loads(directory.reliability.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise RunError(f"{directory.reliability.name} cannot be read: {error}") from error


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines() if file.is_file() else []


def _last_lines(directory: RunDirectory) -> list[str]:
    """Return the last lines of what the run has logged."""
    log = log_of(directory.path)
    if log is None:
        return []
    with log.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _LOG_BYTES))
        text = file.read().decode("utf-8", errors="replace")
    return text.splitlines()[-_LOG_LINES:]
