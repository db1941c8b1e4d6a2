"""Many drawings of each symbol, from own strokes and from fonts, as masks to set on a plate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from runner.data.plates.fonts import Font, draw_text, fonts_of_forms
from runner.data.plates.pen import MARGIN, Pen, draw_skeleton
from runner.data.plates.strokes import SKELETONS

# On real Persian plates these symbols look unlike the code points that labels use for them.
DRAWN_FORMS = {"ه": "\ufeeb", "ژ": "\u267f"}

# Of the drawings of a symbol that has a skeleton; fonts draw the rest.
_SHARE_OF_STROKES = 0.75
_SHARE_OF_STROKES_BESIDE_OWN_FONTS = 0.4


@dataclass(frozen=True, kw_only=True)
class Glyph:
    """One drawing of a symbol: ink 255 on 0, cropped to its ink."""

    mask: Image.Image
    top: float  # of the ink, in heights of a digit below the digits' top
    height: float  # of the ink, in heights of a digit


class GlyphBank:
    """Draws `variants` different forms of each symbol and remembers them.

    The same (seed, symbol, variant) is always the same drawing. `resolution` is the height of a
    digit in pixels. The user's `fonts` take the place of shipped ones and draw more often; a font
    may lack a symbol whose drawn form is another code point that has strokes of its own.
    """

    def __init__(
        self,
        symbols: str,
        *,
        fonts: Sequence[str] = (),
        drawn_forms: Mapping[str, str] = DRAWN_FORMS,
        resolution: int = 48,
        variants: int = 48,
        seed: int = 0,
    ) -> None:
        self.variants = variants
        self._forms = {symbol: drawn_forms.get(symbol, symbol) for symbol in symbols}
        self._resolution = resolution
        self._seed = seed
        special = [form for form in drawn_forms.values() if form in SKELETONS]
        self._fonts = fonts_of_forms(self._forms, fonts, size=resolution, optional=special)
        self._share_of_strokes = _SHARE_OF_STROKES_BESIDE_OWN_FONTS if fonts else _SHARE_OF_STROKES
        self._glyphs: dict[tuple[str, int], Glyph] = {}

    def glyph(self, symbol: str, variant: int) -> Glyph:
        """Return drawing number `variant` of `symbol`."""
        key = (symbol, variant)
        if key not in self._glyphs:
            self._glyphs[key] = self._draw(symbol, variant)
        return self._glyphs[key]

    def _draw(self, symbol: str, variant: int) -> Glyph:
        rng = np.random.default_rng([self._seed, ord(symbol), variant])
        form = self._forms[symbol]
        fonts = self._fonts[form]
        has_strokes = form in SKELETONS
        if has_strokes and (not fonts or rng.random() < self._share_of_strokes):
            return _skeleton_glyph(form, Pen.draw_from(rng), self._resolution, rng)
        return _font_glyph(fonts[rng.integers(len(fonts))], form, rng, self._resolution)


def _skeleton_glyph(form: str, pen: Pen, resolution: int, rng: np.random.Generator) -> Glyph:
    mask = draw_skeleton(SKELETONS[form], pen=pen, height=resolution, rng=rng)
    box = mask.getbbox()
    assert box is not None, form
    return Glyph(
        mask=mask.crop(box), top=box[1] / resolution - MARGIN, height=(box[3] - box[1]) / resolution
    )


def _font_glyph(font: Font, form: str, rng: np.random.Generator, resolution: int) -> Glyph:
    """Return a form as a font has it, sheared and up to two pixels bolder."""
    bold = int(rng.integers(0, 3)) * resolution // 48
    mask = draw_text(font, form, border=bold + resolution // 8, stroke_width=bold)
    shear = float(rng.normal(0.0, 0.08))
    matrix = (1, shear, -shear * mask.height / 2, 0, 1, 0)
    mask = mask.transform(mask.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    mask = mask.crop(mask.getbbox())
    if form in SKELETONS:  # as high as on real plates
        nominal = _skeleton_glyph(form, Pen(), resolution, rng)
        return Glyph(mask=mask, top=nominal.top, height=nominal.height)
    _, top, _, bottom = font.getbbox(form)
    _, cap_top, _, cap_bottom = font.getbbox("8")
    unit = cap_bottom - cap_top
    return Glyph(mask=mask, top=(top - cap_top) / unit, height=(bottom - top) / unit)
