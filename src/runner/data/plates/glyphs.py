"""Many drawings of each symbol, from own strokes and from fonts, as masks to set on a plate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from runner.data.plates.pen import MARGIN, Pen, draw_skeleton
from runner.data.plates.strokes import SKELETONS
from runner.errors import DataError

# On real Persian plates these symbols look unlike the code points that labels use for them.
DRAWN_FORMS = {"ه": "\ufeeb", "ژ": "\u267f"}

_SHIPPED_FONTS = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSansMono-Bold.ttf")
_SHARE_OF_STROKES = 0.75  # where a symbol has a skeleton; the rest comes from fonts


@dataclass(frozen=True, kw_only=True)
class Glyph:
    """One drawing of a symbol: ink 255 on 0, cropped to its ink."""

    mask: Image.Image
    top: float  # of the ink, in heights of a digit below the digits' top
    height: float  # of the ink, in heights of a digit


class GlyphBank:
    """Draws `variants` different forms of each symbol and remembers them.

    The same (seed, symbol, variant) is always the same drawing. `resolution` is the height of a
    digit in pixels. Fonts that the user names count more than runner's own strokes.
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
        shipped = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
        self._own_fonts = [_open_font(Path(font).expanduser(), resolution) for font in fonts]
        self._shipped_fonts = [_open_font(shipped / name, resolution) for name in _SHIPPED_FONTS]
        self._glyphs: dict[tuple[str, int], Glyph] = {}
        for font in self._own_fonts:
            _check_coverage(font, self._forms)

    def glyph(self, symbol: str, variant: int) -> Glyph:
        """Return drawing number `variant` of `symbol`."""
        key = (symbol, variant)
        if key not in self._glyphs:
            self._glyphs[key] = self._draw(symbol, variant)
        return self._glyphs[key]

    def _draw(self, symbol: str, variant: int) -> Glyph:
        rng = np.random.default_rng([self._seed, ord(symbol), variant])
        form = self._forms[symbol]
        fonts = self._own_fonts or self._shipped_fonts
        share = _SHARE_OF_STROKES if not self._own_fonts else _SHARE_OF_STROKES / 2
        if form in SKELETONS and rng.random() < share:
            return _skeleton_glyph(form, Pen.draw_from(rng), self._resolution, rng)
        font = fonts[rng.integers(len(fonts))]
        return _font_glyph(font, form, rng, self._resolution)


def _open_font(path: Path, resolution: int) -> ImageFont.FreeTypeFont:
    try:
        return ImageFont.truetype(str(path), resolution, layout_engine=ImageFont.Layout.BASIC)
    except OSError as error:
        raise DataError(f"data.fonts: cannot read the font {path} ({error})") from error


def _check_coverage(font: ImageFont.FreeTypeFont, forms: Mapping[str, str]) -> None:
    """Raise a `DataError` where the font shows its box for unknown characters, or nothing."""
    unknown = _pixels(font, "\U0010fffe")
    missing = [symbol for symbol, form in forms.items() if _pixels(font, form) in (unknown, b"")]
    if missing:
        raise DataError(
            f"data.fonts: {font.path} has no glyph for {' '.join(missing)} "
            "(leave the font out, or change data.alphabet or data.drawn_forms)"
        )


def _pixels(font: ImageFont.FreeTypeFont, symbol: str) -> bytes:
    left, top, right, bottom = (int(edge) for edge in font.getbbox(symbol))
    if right <= left or bottom <= top:
        return b""
    picture = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(picture).text((-left, -top), symbol, font=font, fill=255)
    return picture.tobytes()


def _font_glyph(
    font: ImageFont.FreeTypeFont, form: str, rng: np.random.Generator, resolution: int
) -> Glyph:
    """Return a form as a font has it, sheared and up to two pixels bolder."""
    left, top, right, bottom = (int(edge) for edge in font.getbbox(form))
    bold = int(rng.integers(0, 3)) * resolution // 48
    edge = bold + resolution // 8  # room for the shear
    size = (right - left + 2 * edge, bottom - top + 2 * edge)
    mask = Image.new("L", size)
    draw = ImageDraw.Draw(mask)
    draw.text((edge - left, edge - top), form, font=font, fill=255, stroke_width=bold)
    shear = float(rng.normal(0.0, 0.08))
    matrix = (1, shear, -shear * size[1] / 2, 0, 1, 0)
    mask = mask.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    mask = mask.crop(mask.getbbox())
    if form in SKELETONS:
        nominal = _skeleton_glyph(form, Pen(), resolution, rng)
        return Glyph(mask=mask, top=nominal.top, height=nominal.height)
    _, cap_top, _, cap_bottom = font.getbbox("8")
    unit = cap_bottom - cap_top
    return Glyph(mask=mask, top=(top - cap_top) / unit, height=(bottom - top) / unit)


def _skeleton_glyph(form: str, pen: Pen, resolution: int, rng: np.random.Generator) -> Glyph:
    mask = draw_skeleton(SKELETONS[form], pen=pen, height=resolution, rng=rng)
    box = mask.getbbox()
    assert box is not None, form
    return Glyph(
        mask=mask.crop(box), top=box[1] / resolution - MARGIN, height=(box[3] - box[1]) / resolution
    )
