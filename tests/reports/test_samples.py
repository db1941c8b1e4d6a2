import io

import numpy as np
import pytest
from PIL import Image, ImageColor

from runner.reports.samples import RIGHT, WRONG, Sample, _font, read_sheet, sample_sheet


def sample(text, target, shape=(32, 128)):
    return Sample(np.full(shape, 128, dtype=np.uint8), text, 0.9, target)


def colors_of(path):
    with Image.open(path) as picture:
        return {color for _, color in picture.convert("RGB").getcolors(maxcolors=1 << 20)}


def test_what_was_read_rightly_and_wrongly_differs_in_colour(tmp_path):
    right, wrong = tmp_path / "right.png", tmp_path / "wrong.png"
    sample_sheet([sample("۱۲ب۳۴۵۶۷", "۱۲ب۳۴۵۶۷")], right)
    sample_sheet([sample("۱۲ب۳۴۵۶۷", "۱۲ب۳۴۵۶۸")], wrong)
    assert ImageColor.getrgb(RIGHT) in colors_of(right)
    assert ImageColor.getrgb(WRONG) not in colors_of(right)
    assert ImageColor.getrgb(WRONG) in colors_of(wrong)


@pytest.mark.parametrize("shape", [(8, 8), (64, 256), (32, 32, 3), (3, 500), (500, 3)])
def test_pictures_of_any_shape_fit_on_the_sheet(tmp_path, shape):
    path = tmp_path / "samples.png"
    sample_sheet([sample("a", None, shape)] * 30, path, title="a run")
    with Image.open(path) as picture:
        assert 500 <= picture.width <= 1000
        assert picture.height > 100


def test_a_long_text_stays_in_its_cell(tmp_path):
    path = tmp_path / "samples.png"
    sample_sheet([sample("m" * 200, "n" * 200), sample("", "")], path)
    with Image.open(path) as picture:
        between_cells = picture.convert("L").crop((209, 0, 216, picture.height))
    assert between_cells.getextrema() == (255, 255)


def test_persian_letters_are_neither_joined_nor_turned_round():
    font = _font(16)
    pair = font.getmask("بج").size[0]
    assert abs(pair - font.getmask("جب").size[0]) <= 2
    apart = font.getlength("ب") + font.getlength("ج")
    assert font.getlength("بج") == pytest.approx(apart, abs=1)


def test_no_samples_make_no_picture(tmp_path):
    sample_sheet([], tmp_path / "samples.png")
    assert not (tmp_path / "samples.png").exists()


def test_a_sheet_gives_its_samples_back(tmp_path):
    path = tmp_path / "samples.png"
    dark = Sample(np.zeros((20, 60), dtype=np.uint8), "", 0.25, None)
    sample_sheet([sample("۱۲ب", "۱۲پ"), dark], path, title="a run, step 7: first")
    title, (wrong, unknown) = read_sheet(path)
    assert title == "a run, step 7: first"
    assert (wrong.text, wrong.target, wrong.confidence) == ("۱۲ب", "۱۲پ", 0.9)
    assert wrong.is_wrong and not unknown.is_wrong
    for one, grey in ((wrong, 128), (unknown, 0)):
        with Image.open(io.BytesIO(one.picture)) as picture:
            assert picture.getextrema() == ((grey, grey),) * 3


def test_a_picture_that_is_no_sheet_has_no_samples(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "plain.png")
    assert read_sheet(tmp_path / "plain.png") == ("", [])
