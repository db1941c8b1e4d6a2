import numpy as np
import pytest

from runner.data.plates.glyphs import GlyphBank
from runner.data.plates.rendering import PlateRenderer


def rendered(text: str, seed: int, *, height: int = 32, width: int = 128) -> np.ndarray:
    renderer = PlateRenderer(GlyphBank(text, resolution=height), height=height, width=width)
    return renderer.render(text, np.random.default_rng(seed))


@pytest.mark.parametrize(("height", "width"), [(32, 128), (64, 256), (20, 90)])
def test_pictures_have_the_size_asked_for(height: int, width: int):
    pixels = rendered("۱۲ب۳۴۵۶۷", 0, height=height, width=width)
    assert pixels.shape == (height, width)
    assert pixels.dtype == np.uint8


def test_the_same_numbers_give_the_same_picture():
    assert np.array_equal(rendered("۱۲ب۳۴۵۶۷", 1), rendered("۱۲ب۳۴۵۶۷", 1))
    assert not np.array_equal(rendered("۱۲ب۳۴۵۶۷", 1), rendered("۱۲ب۳۴۵۶۷", 2))


def test_ink_is_darker_than_the_sheet_in_every_picture():
    for seed in range(30):
        pixels = rendered("۵۵ب۵۵۵۵۵", seed)[8:-8]
        assert np.percentile(pixels, 95) - np.percentile(pixels, 5) > 12, seed


def test_other_plates_than_persian_ones():
    assert rendered("AB1", 0).shape == (32, 128)
    assert rendered("7", 0).shape == (32, 128)
