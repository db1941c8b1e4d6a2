from pathlib import Path

import matplotlib
import numpy as np
import pytest

from runner.data.plates.fonts import draw_text, fonts_of_forms, open_font
from runner.errors import DataError

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
LATIN_ONLY = str(FONTS / "cmr10.ttf")


def test_shipped_fonts_draw_persian_and_latin():
    fonts = fonts_of_forms({"ب": "ب", "۴": "۴", "Z": "Z"}, [], size=20)
    assert all(fonts[form] for form in "ب۴Z")


def test_a_missing_font_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"data\.fonts: cannot read the font .*none\.ttf"):
        open_font(tmp_path / "none.ttf", 20)


def test_a_file_that_is_no_font_is_named(tmp_path: Path):
    (tmp_path / "text.ttf").write_text("no font")
    with pytest.raises(DataError, match=r"cannot read the font .*text\.ttf"):
        open_font(tmp_path / "text.ttf", 20)


def test_a_font_without_a_glyph_is_refused_naming_the_symbol():
    with pytest.raises(DataError, match=r"cmr10\.ttf has no glyph for ب ت"):
        fonts_of_forms({"1": "1", "ب": "ب", "ت": "ت"}, [LATIN_ONLY], size=20)


def test_optional_forms_may_be_missing():
    fonts = fonts_of_forms({"1": "1", "ب": "ب"}, [LATIN_ONLY], size=20, optional="ب")
    assert fonts["1"]
    assert fonts["ب"] == []


def test_a_symbol_in_no_shipped_font_asks_for_a_font():
    with pytest.raises(DataError, match="no shipped font has a glyph for 京 .name a font"):
        fonts_of_forms({"京": "京"}, [], size=20)


def test_a_border_goes_round_the_text():
    font = fonts_of_forms({"H": "H"}, [], size=20)["H"][0]
    plain, bordered = draw_text(font, "H"), draw_text(font, "H", border=3)
    assert bordered.size == (plain.width + 6, plain.height + 6)
    assert np.asarray(bordered)[:3].max() == 0
