import numpy as np

from runner.data.plates.glyphs import GlyphBank
from runner.data.plates.layout import lay_out

TEXT = "۱۲ب۳۴۵۶۷"


def test_symbols_stand_in_order_without_overlap():
    bank = GlyphBank(TEXT)
    for seed in range(20):
        layout = lay_out(TEXT, bank, region_length=2, rng=np.random.default_rng(seed))
        lefts = [glyph.left for glyph in layout.glyphs]
        assert lefts == sorted(lefts)
        for glyph, following in zip(layout.glyphs, layout.glyphs[1:], strict=False):
            assert glyph.left + glyph.width < following.left + 0.15


def test_the_region_stands_apart_and_is_smaller():
    layout = lay_out(TEXT, GlyphBank(TEXT), region_length=2, rng=np.random.default_rng(0))
    last, region = layout.glyphs[5], layout.glyphs[6]
    assert layout.separator is not None
    assert last.left + last.width < layout.separator < region.left
    assert region.height < 0.95 * last.height


def test_without_a_region_there_is_no_separator():
    for region_length in (0, len(TEXT)):
        layout = lay_out(
            TEXT, GlyphBank(TEXT), region_length=region_length, rng=np.random.default_rng(0)
        )
        assert layout.separator is None


def test_corners_enclose_all_ink():
    layout = lay_out(TEXT, GlyphBank(TEXT), region_length=2, rng=np.random.default_rng(0))
    assert layout.corners.shape == (32, 2)
    assert layout.corners[:, 0].min() == layout.glyphs[0].left
