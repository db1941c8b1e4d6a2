"""The pictures of a sweep."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from runner.reports import figures
from runner.reports.figures import BEST, OTHERS
from runner.reports.sweep.plots import plot_curves, plot_objectives, plot_parameters
from tests.reports.sweeps import result, sweep, with_state


def has_color(path: Path, color: str) -> bool:
    pixels = np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)
    wanted = np.array([round(255 * part) for part in to_rgb(color)])
    return bool((np.abs(pixels.astype(int) - wanted).max(axis=1) <= 8).sum() > 20)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were drawn, to look at their axes."""
    kept: list[Figure] = []
    save = figures.save
    monkeypatch.setattr(
        "runner.reports.sweep.plots.save",
        lambda figure, path: (kept.append(figure), save(figure, path)),
    )
    return kept


def test_the_best_runs_have_colours_and_the_others_are_grey(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    runs = [result(number, 0.1 * (9 - number), lr=str(number)) for number in range(9)]
    path = tmp_path / "deep" / "curves.png"
    assert plot_curves(sweep(runs), path) == 9
    assert has_color(path, BEST[0]) and has_color(path, BEST[-1])
    (legend,) = drawn[0].legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts[0] == "run 8: 0.1\nlr=8"
    assert texts[-1] == "3 other runs"


def test_where_more_is_better_the_highest_curve_is_the_best(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    runs = [result(0, 0.2), result(1, 0.9)]
    plot_curves(sweep(runs, mode="max"), tmp_path / "curves.png")
    (legend,) = drawn[0].legends
    assert legend.get_texts()[0].get_text().startswith("run 1: 0.9")


def test_a_curve_that_diverged_does_not_press_the_others_flat(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    runs = [result(number, 0.3 + number / 100) for number in range(9)]
    wild = replace(result(9, 1e9), curve=[(50, 1.0), (60, 1e9), (70, math.nan), (80, math.inf)])
    plot_curves(sweep([*runs, wild]), tmp_path / "curves.png")
    low, high = drawn[0].axes[0].get_ylim()
    assert 0 < low < 0.31
    assert 0.7 < high < 10


@pytest.mark.parametrize("curve", [[], [(1, math.nan)]])
def test_without_a_value_there_is_no_picture(
    tmp_path: Path, curve: list[tuple[int, float]]
) -> None:
    run = replace(result(0, 1.0), curve=curve)
    assert plot_curves(sweep([run]), tmp_path / "curves.png") is None
    assert plot_parameters(sweep([with_state(0, 1.0, "failed", lr="1")]), ["lr"], tmp_path) is None
    assert plot_objectives(sweep([run]), tmp_path / "x.png") is None
    assert list(tmp_path.iterdir()) == []


def test_a_key_has_the_axis_that_suits_its_values(tmp_path: Path, drawn: list[Figure]) -> None:
    runs = [
        result(number, 0.5 + number / 50, lr=lr, size=str(16 * number), model=model, drop="0.1")
        for number, (lr, model) in enumerate(
            [("1e-4", "mlp"), ("1e-1", "crnn"), ("1e-2", "mlp"), ("1e-3", "null")]
        )
    ]
    keys = ["lr", "size", "model", "drop"]
    plot_parameters(sweep(runs, log_scaled=frozenset({"drop", "size"})), keys, tmp_path / "p.png")
    lr, size, model, drop = drawn[0].axes
    assert lr.get_xscale() == "log"
    assert size.get_xscale() == "linear"  # asked for, but there is a zero
    assert drop.get_xscale() == "log"
    assert [label.get_text() for label in model.get_xticklabels()] == ["mlp", "crnn", "null"]
    assert (lr.get_ylabel(), size.get_ylabel()) == ("evaluation.loss", "")
    assert has_color(tmp_path / "p.png", BEST[1])  # the star


@pytest.mark.parametrize("count", [4, 60])
def test_the_mean_of_a_number_is_a_line_also_through_many_values(
    tmp_path: Path, drawn: list[Figure], count: int
) -> None:
    runs = [result(n, 0.5 + (n % count) / 100, lr=str(n % count)) for n in range(120)]
    plot_parameters(sweep(runs), ["lr"], tmp_path / "p.png")
    (line,) = drawn[0].axes[0].lines
    xs, means = line.get_xdata(), line.get_ydata()
    assert len(xs) == min(count, 8)
    assert list(means) == pytest.approx([0.5 + x / 100 for x in xs], abs=0.011)


def test_jitter_is_the_same_each_time(tmp_path: Path) -> None:
    runs = [result(number, 0.5 + number / 50, model="ab"[number % 2]) for number in range(12)]
    for name in ("a.png", "b.png"):
        plot_parameters(sweep(runs), ["model"], tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_the_front_is_drawn_apart_from_the_rest(tmp_path: Path, drawn: list[Figure]) -> None:
    objectives = {"evaluation.loss": "min", "evaluation.accuracy": "max"}
    points = [(0.1, 0.7), (0.2, 0.9), (0.3, 0.8)]
    runs = [
        replace(result(number, loss), objectives=dict(zip(objectives, point, strict=True)))
        for number, point in enumerate(points)
        for loss in point[:1]
    ]
    path = tmp_path / "objectives.png"
    assert plot_objectives(sweep(runs, objectives=objectives), path) == 2
    assert has_color(path, BEST[0]) and has_color(path, OTHERS)
    (axis,) = drawn[0].axes
    assert axis.get_xlabel() == "evaluation.loss (lower is better)"
    assert axis.get_ylabel() == "evaluation.accuracy (higher is better)"
