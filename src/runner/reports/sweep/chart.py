"""The chart of a sweep: the best metric of its runs, the best runs in colour."""

from runner.reports.charts import FAINT, Chart, Line, is_drawable, spans_decades, thinned
from runner.reports.figures import window_of
from runner.reports.run.charts import TONES
from runner.reports.sweep.table import RunResult, SweepResults, ranked, short_label

_MOST_OTHERS = 300
_MOST_POINTS = 120  # of a run that is not among the best


def sweep_chart(results: SweepResults) -> Chart:
    """Return a chart of the runs; values far from all others lie outside of it."""
    best = [run for run in ranked(results.runs, mode=results.mode) if run.curve][: len(TONES)]
    chosen = {run.number for run in best}
    others = [run for run in results.runs if run.number not in chosen and run.curve]
    top = [
        Line(name=_name(run), points=thinned(run.curve), tone=tone, figure=run.score)
        for tone, run in zip(TONES, best, strict=False)
    ]
    faint = [
        Line(name="", points=thinned(run.curve, most=_MOST_POINTS), tone=FAINT)
        for run in others[:_MOST_OTHERS]
    ]
    lines = [*faint, *top]
    values = [value for line in lines for _, value in line.points if is_drawable(value)]
    must = [value for line in top for _, value in line.points if is_drawable(value)]
    return Chart(
        title=results.metric,
        lines=lines,
        prefers_log=spans_decades(values),
        window=window_of(values, must) if values else None,
    )


def _name(run: RunResult) -> str:
    label = short_label(run)
    return f"run {run.number} ({label})" if label else f"run {run.number}"
