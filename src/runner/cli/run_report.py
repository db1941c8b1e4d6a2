"""`report` of a run: one page with what its directory holds now, also while it is under way."""

import json
import shlex
from collections.abc import Iterable
from pathlib import Path

from runner.config.written import read_config
from runner.errors import RunError
from runner.files import write_text_atomically
from runner.reports.curves import learning_curves
from runner.reports.page import to_markdown
from runner.reports.reliability import PICTURE, ReliabilityReport, reliability_from
from runner.reports.reliability_plot import plot_reliability
from runner.reports.run_page import RunFacts, RunPictures, run_page
from runner.reports.web_page import to_html
from runner.run.directory import RunDirectory
from runner.run.journal import Row, read_journal
from runner.run.provenance import read_provenance
from runner.sweeps.history import history_of
from runner.sweeps.summary import run_row

_CURVES = "curves.png"
_SAMPLES = "samples.png"  # that the run itself has drawn


def report_run(directory: RunDirectory) -> None:
    """Write report/report.html and report.md in the run's directory and print where the page is."""
    facts, rows = facts_of(directory), read_journal(directory.journal)
    folder = directory.report
    try:
        page = run_page(facts, _pictures(directory, facts, rows))
        write_text_atomically(folder / "report.md", to_markdown(page))
        write_text_atomically(folder / "report.html", to_html(page, folder))
    except OSError as error:
        raise RunError(f"the report cannot be written to {folder}: {error}") from error
    print(folder / "report.html")


def facts_of(directory: RunDirectory) -> RunFacts:
    """Return what the page says, from the run's own files."""
    provenance = read_provenance(directory.provenance)
    config = read_config(directory.config) if directory.config.is_file() else {}
    trainer = config.get("trainer") or {}
    metric = str(trainer.get("best_metric", "evaluation.loss"))
    row = run_row(directory, config=config)
    history = history_of(row, metric=metric)
    rows = read_journal(directory.journal)
    jobs = provenance["jobs"]
    return RunFacts(
        name=f"{provenance['name']}/{directory.path.resolve().name}",
        state=row.state,
        step=row.step,
        command=shlex.join(jobs[0]["command"]) if jobs else "",
        metric=metric,
        mode=str(trainer.get("best_mode", "min")),
        score=row.score,
        best_step=row.best_step,
        seconds=history.seconds,
        jobs=row.jobs,
        error=row.error,
        code=history.code,
        evaluation=_values(rows, "evaluation", step=row.best_step),
        test=_values(rows, "test"),
        reliability=_reliability(directory),
        config=_lines(directory.config),
    )


def _values(rows: Iterable[Row], split: str, *, step: int | None = None) -> dict[str, float]:
    """Return the last values of a split, or those at `step`."""
    found = [row for row in rows if row.split == split and step in (None, row.step)]
    return dict(found[-1].values) if found else {}


def _reliability(directory: RunDirectory) -> ReliabilityReport | None:
    if not directory.reliability.is_file():
        return None
    try:
        return reliability_from(json.loads(directory.reliability.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError) as error:
        raise RunError(f"{directory.reliability} cannot be read: {error}") from error


def _pictures(directory: RunDirectory, facts: RunFacts, rows: list[Row]) -> RunPictures:
    """Draw what the run's files allow; what the run has drawn of its samples is there or not."""
    folder = directory.report
    has_samples = (directory.plots / _SAMPLES).is_file()
    if rows:
        learning_curves(rows, folder / _CURVES)
    if facts.reliability is not None:
        plot_reliability(facts.reliability, folder / PICTURE)
    return RunPictures(
        curves=_CURVES if rows else None,
        samples=f"../{directory.plots.name}/{_SAMPLES}" if has_samples else None,
        reliability=PICTURE if facts.reliability is not None else None,
    )


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
