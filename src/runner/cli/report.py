"""`report`: what came of a sweep or a run, as Markdown and as one HTML file."""

import re
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from runner.cli.columns import table, width_of
from runner.cli.pages.run_report import report_run
from runner.config.layout import leaves
from runner.errors import RunError
from runner.files import write_text_atomically
from runner.reports.markdown import to_markdown
from runner.reports.page import Page
from runner.reports.sweep.page import CURVES, OBJECTIVES, PARAMETERS, better, sweep_page
from runner.reports.sweep.plots import plot_curves, plot_objectives, plot_parameters
from runner.reports.sweep.statistics import effects, far_off, without
from runner.reports.sweep.table import RunResult, SweepResults, ranked
from runner.reports.web_page import to_html
from runner.run.directory import RunDirectory
from runner.sweeps.directory import SweepDirectory, is_sweep
from runner.sweeps.history import RunHistory, history_of, limits_text
from runner.sweeps.record import SweepRecord
from runner.sweeps.slurm.standing import standing_of
from runner.sweeps.summary import RunRow, SweepSummary, summarize
from runner.training.callbacks.console_view import short

_SHOWN = 5


def report(path: Path) -> None:
    """Write the report of the sweep or run in `path`, print where it is; RunError for neither."""
    if is_sweep(path):
        report_sweep(SweepDirectory(path))
    elif (directory := RunDirectory(path)).provenance.is_file():
        report_run(directory)
    else:
        raise RunError(
            f"{path} is neither a sweep (it has no sweep.json) nor a run (no run.json): name the "
            "folder of one"
        )


def report_sweep(directory: SweepDirectory) -> None:
    """Write the report of a sweep, show its best runs and print where the report is."""
    standing = standing_of(directory.slurm)
    summary = summarize(directory)
    if standing is not None:
        summary = replace(summary, rows=standing.seen(summary.rows))
    results = results_of(summary)
    folder = summary.directory.report
    try:
        page = _page(results, folder)
        write_text_atomically(folder / "report.md", to_markdown(page))
        write_text_atomically(folder / "report.html", to_html(page, folder))
    except OSError as error:
        raise RunError(f"the report cannot be written to {folder}: {error}") from error
    _print_head(results)
    print(folder / "report.html")


def results_of(summary: SweepSummary) -> SweepResults:
    """Return what a report is made of, from the files of the sweep and of its runs."""
    record = summary.record
    histories = [
        history_of(row, metric=record.best_metric, others=record.objectives) for row in summary.rows
    ]
    code = Counter(state for history in histories for state in history.code)
    command = record.starts[-1]["command"] if record.starts else []
    return SweepResults(
        name=f"{record.name}/{summary.directory.path.resolve().name}",
        kind=record.kind,
        command=shlex.join(command),
        metric=record.best_metric,
        mode=record.best_mode,
        swept=record.swept,
        runs=[_result(row, history) for row, history in zip(summary.rows, histories, strict=True)],
        total=record.total,
        log_scaled=_log_scaled(record),
        objectives=record.objectives,
        base=leaves(record.base),
        code=code,
        warnings=_warnings(summary, histories, code),
    )


def _page(results: SweepResults, folder: Path) -> Page:
    """Draw the pictures and return the page that shows them."""
    bulk = without(results, far_off(results))
    by_size = [effect.key for effect in effects(bulk)]
    plots: dict[str, Callable[[Path], int | None]] = {
        CURVES: lambda path: plot_curves(results, path),
        PARAMETERS: lambda path: plot_parameters(bulk, by_size, path),
        OBJECTIVES: lambda path: plot_objectives(results, path),
    }
    pictures: dict[str, int] = {}
    for name, plot in plots.items():
        (folder / name).unlink(missing_ok=True)  # of an earlier report
        figure = plot(folder / name)
        if figure is not None:
            pictures[name] = figure
    return sweep_page(results, pictures=pictures)


def _result(row: RunRow, history: RunHistory) -> RunResult:
    return RunResult(
        number=row.number,
        label=row.label,
        overrides=row.overrides,
        state=row.state,
        step=row.step,
        score=row.score,
        best_step=row.best_step,
        seconds=history.seconds,
        error=row.error,
        curve=history.curve,
        objectives=history.values,
    )


def _warnings(
    summary: SweepSummary, histories: Sequence[RunHistory], code: Counter[str]
) -> list[str]:
    warnings = [history.problem for history in histories if history.problem]
    if len(code) > 1:
        states = "; ".join(f"{state}: {count} runs" for state, count in code.most_common())
        warnings.append(f"The runs come from different states of the code ({states}).")
    limits = Counter(
        limits_text(_unswept(history, summary.record))
        for row, history in zip(summary.rows, histories, strict=True)
        if row.state == "completed"
    )
    if len(limits) > 1:
        told = "; ".join(f"{text or 'no limit'}: {count} runs" for text, count in limits.items())
        warnings.append(f"The completed runs were trained for different lengths ({told}).")
    return warnings


def _unswept(history: RunHistory, record: SweepRecord) -> dict[str, object]:
    return {
        name: value
        for name, value in history.limits.items()
        if f"trainer.{name}" not in record.swept
    }


def _log_scaled(record: SweepRecord) -> frozenset[str]:
    """Return the keys whose values were drawn on a logarithmic scale: tag(log, interval(...))."""
    params = record.sweeper.get("params") or {}
    texts = [*record.arguments, *(f"{key}={value}" for key, value in dict(params).items())]
    pairs = (text.lstrip("+").partition("=") for text in texts)
    return frozenset(key for key, _, value in pairs if re.search(r"\blog\b", value))


def _print_head(results: SweepResults) -> None:
    best = ranked(results.runs, mode=results.mode)[:_SHOWN]
    if best:
        header = ["run", results.metric, "best at", "overrides"]
        rows = [
            [str(run.number), short(run.score), str(run.best_step or ""), run.label] for run in best
        ]
        for line in table(header, rows, left=["overrides"], width=width_of()):
            print(line)
    if best:
        print(f"{len(best)} best of {len(results.runs)} runs; {better(results.mode)}\n")
    else:
        print(f"no run of {len(results.runs)} is completed with a score yet\n")
