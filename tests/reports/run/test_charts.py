"""Which charts a run has."""

from runner.reports.charts import Mark
from runner.reports.run.charts import metric_charts, system_charts
from runner.run.journal import Row

BEST = Mark(step=20, label="best", kind="best")
JOB = Mark(step=10, label="job 2", kind="job")


def row(step: int, split: str, **values: float) -> Row:
    return Row(step, 0.0, 0.0, split, values)


ROWS = [
    row(10, "train", lr=0.1, loss=2.0),
    row(20, "evaluation", loss=1.5, cer=0.5, whole=0.1),
    row(20, "train", lr=0.1, loss=0.05),
    row(20, "test", loss=1.4),
    row(20, "speed", samples_per_second=10.0),
    row(20, "system", cpu_percent=90.0, machine_cpu_percent=50.0, gpu_percent=80.0, fan=7.0),
]


def test_splits_are_laid_over_each_other_and_the_judged_metric_follows_the_loss() -> None:
    charts = metric_charts(ROWS, metric="evaluation.whole", marks=[JOB, BEST])
    assert [chart.title for chart in charts] == ["loss", "whole", "cer", "lr"]
    assert [line.tone for line in charts[0].lines] == ["train", "evaluation", "test"]
    assert [len(chart.marks) for chart in charts] == [2, 2, 1, 1]  # the best is marked where it is
    assert charts[0].prefers_log and not charts[1].prefers_log


def test_other_splits_have_colours_of_their_own() -> None:
    rows = [row(1, "evaluation.a", loss=1.0), row(1, "evaluation.b", loss=2.0)]
    (chart,) = metric_charts(rows, metric="evaluation.loss", marks=[])
    assert [(line.name, line.tone) for line in chart.lines] == [
        ("evaluation.a", "one"),
        ("evaluation.b", "two"),
    ]


def test_the_machine_is_grouped_by_unit_and_nothing_is_left_out() -> None:
    charts = system_charts(ROWS, marks=[JOB, BEST])
    assert [(chart.title, [line.name for line in chart.lines]) for chart in charts] == [
        ("samples per second", ["samples/s"]),
        ("CPU of the run, % of one core", ["CPU"]),
        ("the whole machine, %", ["CPU", "GPU"]),
        ("fan", ["system"]),
    ]
    assert all(chart.marks == [JOB] for chart in charts)


def test_a_run_that_has_logged_nothing_has_no_charts() -> None:
    assert metric_charts([], metric="evaluation.loss", marks=[]) == []
    assert system_charts([], marks=[]) == []
