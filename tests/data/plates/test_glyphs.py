from pathlib import Path

import matplotlib
import numpy as np

from runner.data.plates.glyphs import GlyphBank
from runner.data.plates.strokes import SKELETONS
from runner.data.plates.texts import PERSIAN_ALPHABET

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def test_every_persian_symbol_has_strokes():
    drawn = PERSIAN_ALPHABET.replace("ه", "\ufeeb").replace("ژ", "\u267f")
    assert set(drawn) == set(SKELETONS)


def test_a_drawing_depends_on_seed_symbol_and_variant_alone():
    first, second = GlyphBank("۱۲", seed=5), GlyphBank("۲۱", seed=5)
    second.glyph("۱", 0)
    assert first.glyph("۲", 3).mask.tobytes() == second.glyph("۲", 3).mask.tobytes()
    assert first.glyph("۲", 3).mask.tobytes() != first.glyph("۲", 4).mask.tobytes()


def test_strokes_stay_near_the_height_of_a_digit():
    bank = GlyphBank(PERSIAN_ALPHABET, variants=12)
    for symbol in PERSIAN_ALPHABET:
        for variant in range(12):
            glyph = bank.glyph(symbol, variant)
            assert -0.2 < glyph.top < 0.65, symbol
            assert glyph.top + glyph.height < 1.2, symbol
            assert np.asarray(glyph.mask).max() > 200, symbol


def test_zero_is_small():
    assert GlyphBank("۰").glyph("۰", 0).height < 0.6


def test_the_users_fonts_are_drawn_with():
    own = str(FONTS / "DejaVuSerif-Bold.ttf")
    drawn = GlyphBank("A", fonts=[own], seed=1).glyph("A", 0)
    usual = GlyphBank("A", seed=1).glyph("A", 0)
    assert drawn.mask.tobytes() != usual.mask.tobytes()


def test_a_font_may_lack_the_forms_that_runner_draws_itself():
    own = str(FONTS / "DejaVuSansMono.ttf")
    bank = GlyphBank("1هژ", fonts=[own], drawn_forms={"ه": "\ufeeb", "ژ": "\u267f"}, variants=8)
    assert all(bank.glyph("ژ", variant).height > 0.5 for variant in range(8))
