"""Which charts a run has: what it learned, and what it took of the machine."""

from collections.abc import Iterable, Mapping, Sequence

from runner.reports.charts import Chart, Line, Mark, spans_decades, thinned
from runner.run.journal import Row

Series = dict[str, dict[str, list[tuple[int, float]]]]  # value -> split -> points

TONES = ("one", "two", "three", "four", "five", "six")
_OWN_TONES = ("train", "evaluation", "test")
_MACHINE = ("speed", "system")  # splits that tell of the machine
_LATE = ("lr", "learning_rate", "grad_norm")  # what is looked at after the metrics
# Each chart of the machine: title, and its lines as (split, value, name).
_SYSTEM_CHARTS = (
    ("samples per second", (("speed", "samples_per_second", "samples/s"),)),
    ("share of the time spent waiting for data", (("speed", "data_wait_share", "waiting"),)),
    ("CPU of the run, % of one core", (("system", "cpu_percent", "CPU"),)),
    (
        "memory of the run, GiB",
        (("system", "memory_gib", "memory"), ("system", "gpu_memory_gib", "GPU memory")),
    ),
    (
        "the whole machine, %",
        (
            ("system", "machine_cpu_percent", "CPU"),
            ("system", "machine_memory_percent", "memory"),
            ("system", "gpu_percent", "GPU"),
        ),
    ),
)


def metric_charts(rows: Iterable[Row], *, metric: str, marks: Sequence[Mark]) -> list[Chart]:
    """Return a chart for each value that was logged, its splits laid over each other.

    The loss comes first, then the value of the best `metric`.
    """
    series = _series(row for row in rows if row.split not in _MACHINE)
    first = ("loss", metric.rpartition(".")[2])
    names = sorted(series, key=lambda name: (_rank(name, first), name in _LATE))
    return [_chart(name, series[name], marks, metric=metric) for name in names]


def system_charts(rows: Iterable[Row], *, marks: Sequence[Mark]) -> list[Chart]:
    """Return charts of speed, CPU, memory and GPU, and of what else was measured of them."""
    series = _series(row for row in rows if row.split in _MACHINE)
    charts: list[Chart] = []
    known: set[tuple[str, str]] = set()
    for title, wanted in _SYSTEM_CHARTS:
        known.update((split, value) for split, value, _ in wanted)
        charts += _system_chart(title, wanted, series, marks)
    others = [(split, name) for name in series for split in series[name]]
    for split, name in others:
        if (split, name) not in known:
            charts += _system_chart(_words(name), ((split, name, split),), series, marks)
    return charts


def _system_chart(
    title: str,
    wanted: Sequence[tuple[str, str, str]],
    series: Series,
    marks: Sequence[Mark],
) -> list[Chart]:
    lines = [
        Line(name=name, points=thinned(series[value][split]), tone=tone)
        for tone, (split, value, name) in zip(("three", "two", "four"), wanted, strict=False)
        if split in series.get(value, {})
    ]
    jobs = [mark for mark in marks if mark.kind == "job"]
    return [Chart(title=title, lines=lines, marks=jobs)] if lines else []


def _chart(
    name: str,
    splits: Mapping[str, Sequence[tuple[int, float]]],
    marks: Sequence[Mark],
    *,
    metric: str,
) -> Chart:
    others = iter(TONES * len(splits))
    order = sorted(splits, key=lambda split: _rank(split, _OWN_TONES))
    lines = [
        Line(
            name=split,
            points=thinned(splits[split]),
            tone=split if split in _OWN_TONES else next(others),
        )
        for split in order
    ]
    is_judged = metric.rpartition(".")[2] == name
    shown = [mark for mark in marks if mark.kind == "job" or is_judged or name == "loss"]
    values = [value for points in splits.values() for _, value in points]
    prefers_log = name == "loss" and spans_decades(values)
    return Chart(title=_words(name), lines=lines, marks=shown, prefers_log=prefers_log)


def _series(rows: Iterable[Row]) -> Series:
    found: Series = {}
    for row in rows:
        for name, value in row.values.items():
            found.setdefault(name, {}).setdefault(row.split, []).append((row.step, value))
    return {
        name: {
            split: sorted(points, key=lambda point: point[0]) for split, points in splits.items()
        }
        for name, splits in found.items()
    }


def _rank(name: str, first: Sequence[str]) -> int:
    return first.index(name) if name in first else len(first)


def _words(name: str) -> str:
    return name.replace("_", " ")
