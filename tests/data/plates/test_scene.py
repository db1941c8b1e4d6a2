import numpy as np
import pytest

from runner.data.plates.glyphs import GlyphBank
from runner.data.plates.layout import lay_out
from runner.data.plates.scene import paint

TEXT = "۱۲ب۳۴۵۶۷"


@pytest.mark.parametrize("seed", range(10))
def test_every_symbol_is_darker_than_the_sheet_around_it(seed: int):
    rng = np.random.default_rng(seed)
    layout = lay_out(TEXT, GlyphBank(TEXT), region_length=2, rng=rng)
    scene = paint(layout, scale=40.0, caption=None, rng=rng)
    pixels = np.asarray(scene.image, dtype=float)
    for glyph in layout.glyphs:
        left = int(scene.origin[0] + glyph.left * scene.scale)
        top = int(scene.origin[1] + glyph.top * scene.scale)
        right, bottom = left + int(glyph.width * 40) + 1, top + int(glyph.height * 40) + 1
        box = pixels[top:bottom, left:right]
        assert np.percentile(box, 90) - np.percentile(box, 10) > 20


def test_the_car_surrounds_the_plate():
    rng = np.random.default_rng(0)
    layout = lay_out(TEXT, GlyphBank(TEXT), region_length=2, rng=rng)
    scene = paint(layout, scale=40.0, caption=None, rng=rng)
    assert scene.origin[0] > 20
    assert scene.image.width > scene.origin[0] + 40 * layout.corners[:, 0].max() + 20
    assert scene.image.height > scene.origin[1] + 40 + 20
