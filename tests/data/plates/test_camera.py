import numpy as np
import pytest
from PIL import Image

from runner.data.plates.camera import photograph
from runner.data.plates.layout import Layout, PlacedGlyph
from runner.data.plates.scene import Scene


def photographed(seed: int) -> np.ndarray:
    """Return a photograph of a white block, 4 x 1 heights, on black."""
    block = PlacedGlyph(mask=Image.new("L", (1, 1)), left=0.0, top=0.0, width=4.0, height=1.0)
    layout = Layout(glyphs=[block], separator=None)
    image = Image.new("L", (240, 120))
    image.paste(255, (40, 40, 200, 80))
    scene = Scene(image=image, origin=(40.0, 40.0), scale=40.0)
    return photograph(scene, layout, height=32, width=128, rng=np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(15))
def test_the_symbols_fill_the_picture_and_are_not_cut_off(seed: int):
    pixels = photographed(seed).astype(float)
    bright = pixels > 0.5 * pixels.max()
    columns, rows = bright.any(axis=0), bright.any(axis=1)
    assert columns.mean() > 0.75
    assert rows.mean() > 0.55
    assert not columns.all()


def test_photographs_differ():
    assert not np.array_equal(photographed(0), photographed(1))
