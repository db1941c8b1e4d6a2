import math

from PIL import Image

from runner.reports.curves import MAX_PANELS, learning_curves, panels_of
from runner.run.journal import Row


def row(step, split, **values):
    return Row(step, step / 100, 0.0, split, values)


ROWS = [
    row(50, "speed", samples_per_second=800.0),
    row(50, "train", lr=1e-3, loss=2.0),
    row(100, "evaluation", cer=0.5, loss=1.5),
    row(100, "train", lr=1e-3, loss=0.05),
    row(100, "test", loss=1.4),
]


def test_loss_comes_first_and_speed_last():
    assert list(panels_of(ROWS)) == ["loss", "cer", "lr", "samples_per_second"]


def test_a_panel_has_a_series_for_each_split():
    assert panels_of(ROWS)["loss"] == {
        "train": [(50, 2.0), (100, 0.05)],
        "evaluation": [(100, 1.5)],
        "test": [(100, 1.4)],
    }


def test_many_values_do_not_make_an_endless_picture():
    rows = [row(1, "train", **{f"value_{number}": 1.0 for number in range(50)}, loss=1.0)]
    assert len(panels_of(rows)) == MAX_PANELS
    assert next(iter(panels_of(rows))) == "loss"


def test_the_picture_has_three_panels_side_by_side(tmp_path):
    path = tmp_path / "plots" / "learning_curves.png"
    learning_curves(ROWS, path, title="a run")
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.width > 2 * 500 > 0
        colors = picture.convert("RGB").getcolors(maxcolors=1 << 20)
    assert colors is not None
    assert len(colors) > 50


def test_values_that_are_not_finite_leave_a_gap(tmp_path):
    rows = [row(step, "train", loss=value) for step, value in enumerate([1.0, math.nan, math.inf])]
    rows.append(row(3, "evaluation", loss=math.nan))
    learning_curves(rows, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").exists()


def test_an_empty_journal_makes_no_picture(tmp_path):
    learning_curves([], tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()
