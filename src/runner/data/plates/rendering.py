"""`PlateRenderer`: one plate's picture from its text and a random generator."""

import numpy as np
from PIL import Image

from runner.data.plates.camera import photograph
from runner.data.plates.fonts import draw_text, open_shipped_font
from runner.data.plates.glyphs import GlyphBank
from runner.data.plates.layout import lay_out
from runner.data.plates.scene import paint

_CAPTION = "\ufee5\ufe8d\ufeae\ufbfe\ufe8d"  # "Iran", the joined forms in the order seen
_INK_SHARE = 0.8  # of the picture's height that the symbols take up


class PlateRenderer:
    """Draws grey pictures of `height` by `width`; the last `region_length` symbols get a box."""

    def __init__(self, bank: GlyphBank, *, height: int, width: int, region_length: int = 2) -> None:
        self._bank = bank
        self._height, self._width = height, width
        self._region_length = region_length
        self._caption = _draw_caption() if region_length else None

    def render(self, text: str, rng: np.random.Generator) -> np.ndarray:
        """Return uint8 pixels (height, width), a function of `text` and the state of `rng`."""
        layout = lay_out(text, self._bank, region_length=self._region_length, rng=rng)
        scale = self._height * _INK_SHARE
        scene = paint(layout, scale=scale, caption=self._caption, rng=rng)
        return photograph(scene, layout, height=self._height, width=self._width, rng=rng)


def _draw_caption() -> Image.Image:
    mask = draw_text(open_shipped_font("DejaVuSans-Bold.ttf", 32), _CAPTION)
    return mask.crop(mask.getbbox())
