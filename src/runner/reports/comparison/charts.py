"""The curves of several runs, laid over each other: a chart for each metric."""

from collections.abc import Iterator, Sequence

from runner.reports.charts import FAINT, Chart, Line, sharing_steps, spans_decades, thinned
from runner.reports.comparison.runs import Side, metrics_of
from runner.reports.page import Block, Charts, Paragraph
from runner.reports.run.charts import TONES

_MOST_CHARTS = 12


def curves(sides: Sequence[Side]) -> list[Block]:
    """Return the charts, a line for each run in the colour of its side; nothing without any."""
    metrics = [name for name in metrics_of(sides) if not name.startswith("test.")]
    charts = [chart for name in metrics if (chart := _chart(name, sides)) is not None]
    if not charts:
        return []
    text = "Each metric of all runs; runs of one side have its colour."
    return [Paragraph(text=text), Charts(charts=sharing_steps(charts), most=_MOST_CHARTS)]


def _chart(metric: str, sides: Sequence[Side]) -> Chart | None:
    lines = [line for at, side in enumerate(sides) for line in _lines(metric, side, at)]
    values = [value for line in lines for _, value in line.points]
    return Chart(title=metric, lines=lines, prefers_log=spans_decades(values)) if lines else None


def _lines(metric: str, side: Side, at: int) -> Iterator[Line]:
    for run in side.runs:
        seed = f", seed {run.seed}" if len(side.runs) > 1 else ""
        if points := run.series(metric):
            tone = TONES[at] if at < len(TONES) else FAINT
            yield Line(name=f"{side.label}{seed}", points=thinned(points), tone=tone)
