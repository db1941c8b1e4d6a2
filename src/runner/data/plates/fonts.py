"""Font files: open them, and know which symbols they can draw."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from runner.errors import DataError

Font = ImageFont.FreeTypeFont

# Of the fonts that come with matplotlib, those whose letters and digits look like a plate's.
_SHIPPED = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSansMono-Bold.ttf")
_NO_CHARACTER = "\U0010fffe"  # drawn as the box for an unknown one


def fonts_of_forms(
    forms: Mapping[str, str], paths: Sequence[str], *, size: int, optional: Iterable[str] = ()
) -> dict[str, list[Font]]:
    """Return the fonts that can draw each form; `forms` maps a symbol to the form that is drawn.

    The fonts are the files in `paths` or, if there are none, shipped ones. The forms in `optional`
    may be missing. Raises a `DataError` for a file that is no font, for one that lacks a symbol and
    for a symbol that no font has.
    """
    fonts = [open_font(path, size) for path in paths]
    required = {symbol: form for symbol, form in forms.items() if form not in set(optional)}
    for font in fonts:
        _require(required, [font], f"{font.path} has no glyph for")
    fonts = fonts or [open_shipped_font(name, size) for name in _SHIPPED]
    _require(required, fonts, "no shipped font has a glyph for")
    return {form: [font for font in fonts if _has(font, form)] for form in forms.values()}


def open_font(path: str | Path, size: int) -> Font:
    """Return the font in the file `path`; raises a `DataError` if there is none."""
    file = Path(path).expanduser()
    try:
        return ImageFont.truetype(str(file), size, layout_engine=ImageFont.Layout.BASIC)
    except OSError as error:
        raise DataError(f"data.fonts: cannot read the font {file} ({error})") from error


def open_shipped_font(name: str, size: int) -> Font:
    """Return a font that comes with matplotlib."""
    return open_font(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)


def draw_text(font: Font, text: str, *, border: int = 0, stroke_width: int = 0) -> Image.Image:
    """Return `text` as a mask (mode L, ink 255), `border` pixels larger on each side."""
    left, top, right, bottom = (int(edge) for edge in font.getbbox(text))
    mask = Image.new("L", (max(right - left, 0) + 2 * border, max(bottom - top, 0) + 2 * border))
    ImageDraw.Draw(mask).text(
        (border - left, border - top), text, font=font, fill=255, stroke_width=stroke_width
    )
    return mask


def _require(forms: Mapping[str, str], fonts: Sequence[Font], complaint: str) -> None:
    missing = [s for s, form in forms.items() if not any(_has(font, form) for font in fonts)]
    if missing:
        raise DataError(
            f"data.fonts: {complaint} {' '.join(missing)} "
            "(name a font that has it, or change data.alphabet or data.drawn_forms)"
        )


def _has(font: Font, symbol: str) -> bool:
    mask = draw_text(font, symbol)
    if mask.getbbox() is None:
        return False
    unknown = draw_text(font, _NO_CHARACTER)
    return mask.size != unknown.size or mask.tobytes() != unknown.tobytes()
