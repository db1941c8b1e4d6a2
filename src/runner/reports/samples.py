"""Draw a sheet of sample pictures with what was read in each."""

import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from runner.reports import page

PAPER = "#ffffff"
INK = "#202020"
RIGHT = "#1c7c3f"
WRONG = "#c8321f"
FAINT = "#777777"
_SHEET_WIDTH = 1000
_GAP = 14
_LINE = 22  # pixels from one line of text to the next
_MAX_PICTURE = (190, 95)  # width, height
_MIN_CELL_WIDTH = 110
_TOLD = "runner samples"  # the text inside the file that says what is where on the sheet


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture (uint8, height x width or height x width x 3) and what was read in it."""

    picture: np.ndarray
    text: str
    confidence: float
    target: str | None = None

    @property
    def is_wrong(self) -> bool:
        return self.target is not None and self.text != self.target


def sample_sheet(samples: Sequence[Sample], path: Path, *, title: str = "") -> None:
    """Write a PNG: the pictures in a grid, under each what was read and how sure the model is.

    Wrong ones have a red frame and the truth in grey below. Texts are drawn code point by code
    point from left to right, as a plate is read, in letters that are not joined. Nothing is
    written without samples.
    """
    if not samples:
        return
    grid = _Grid(samples, has_title=bool(title))
    sheet = Image.new("RGB", grid.size, PAPER)
    if title:
        ImageDraw.Draw(sheet).text((_GAP, _GAP // 2), title, fill=INK, font=_font(14))
    for number, sample in enumerate(samples):
        _draw_sample(sheet, sample, grid.corner(number), grid)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, format="PNG", pnginfo=_told(samples, grid, title))


def read_sheet(path: Path) -> tuple[str, list[page.Sample]]:
    """Return the title of a sheet and its samples, cut out of it.

    A sheet that does not say what is on it has none. One that says it wrongly raises ValueError,
    TypeError, LookupError or, as a damaged picture, OSError or SyntaxError.
    """
    with Image.open(path) as sheet:
        text = getattr(sheet, "text", {}).get(_TOLD)
        if text is None:
            return "", []
        told = json.loads(text)
        return told["title"], [_cut_out(sheet, **one) for one in told["samples"]]


def _told(samples: Sequence[Sample], grid: "_Grid", title: str) -> PngInfo:
    told = [
        {
            "box": [*grid.corner(number), *_fitted(sample.picture)],
            "text": sample.text,
            "confidence": float(sample.confidence),
            "target": sample.target,
        }
        for number, sample in enumerate(samples)
    ]
    info = PngInfo()
    info.add_itxt(_TOLD, json.dumps({"title": title, "samples": told}, ensure_ascii=False))
    return info


def _cut_out(
    sheet: Image.Image, *, box: Sequence[int], text: str, confidence: float, target: str | None
) -> page.Sample:
    left, top, width, height = map(int, box)
    if not (0 < width <= _MAX_PICTURE[0] and 0 < height <= _MAX_PICTURE[1]):
        raise ValueError(f"a sample of {width} x {height} pixels")
    if not isinstance(text, str) or not isinstance(target, str | None):
        raise TypeError("what was read is no text")
    picture = io.BytesIO()
    sheet.crop((left, top, left + width, top + height)).save(picture, format="PNG")
    return page.Sample(
        text=text, confidence=float(confidence), target=target, picture=picture.getvalue()
    )


class _Grid:
    """Where the cells of a sheet lie."""

    def __init__(self, samples: Sequence[Sample], *, has_title: bool) -> None:
        sizes = [_fitted(sample.picture) for sample in samples]
        self.cell_width = max(_MIN_CELL_WIDTH, *(width for width, _ in sizes))
        self.picture_height = max(height for _, height in sizes)
        self._cell_height = self.picture_height + 2 * _LINE + _GAP
        self._top = _GAP + (_LINE if has_title else 0)
        fitting = (_SHEET_WIDTH - _GAP) // (self.cell_width + _GAP)
        self._num_columns = min(len(samples), fitting)
        num_rows = math.ceil(len(samples) / self._num_columns)
        width = max(self._num_columns * (self.cell_width + _GAP) + _GAP, _SHEET_WIDTH // 2)
        self.size = (width, self._top + num_rows * self._cell_height)

    def corner(self, number: int) -> tuple[int, int]:
        row, column = divmod(number, self._num_columns)
        return _GAP + column * (self.cell_width + _GAP), self._top + row * self._cell_height


def _draw_sample(sheet: Image.Image, sample: Sample, corner: tuple[int, int], grid: _Grid) -> None:
    left, top = corner
    draw = ImageDraw.Draw(sheet)
    picture = Image.fromarray(sample.picture).convert("RGB").resize(_fitted(sample.picture))
    sheet.paste(picture, corner)
    if sample.is_wrong:
        box = (left - 3, top - 3, left + picture.width + 2, top + picture.height + 2)
        draw.rectangle(box, outline=WRONG, width=2)
    below = top + grid.picture_height + 5
    confidence, small = f"{100 * sample.confidence:.0f}%", _font(13)
    confidence_width = draw.textlength(confidence, font=small)
    right = left + grid.cell_width - confidence_width
    draw.text((right, below + 3), confidence, fill=FAINT, font=small)
    room = grid.cell_width - confidence_width - 6
    color = WRONG if sample.is_wrong else RIGHT if sample.target is not None else INK
    _draw_text(draw, (left, below), sample.text or "(nothing)", color, room)
    if sample.is_wrong:
        _draw_text(draw, (left, below + _LINE), sample.target or "(nothing)", FAINT, room)


def _draw_text(
    draw: ImageDraw.ImageDraw, corner: tuple[float, float], text: str, color: str, room: float
) -> None:
    font = _font(16)
    if draw.textlength(text, font=font) > room:
        while text and draw.textlength(text + "…", font=font) > room:
            text = text[:-1]
        text += "…"
    draw.text(corner, text, fill=color, font=font)


def _fitted(picture: np.ndarray) -> tuple[int, int]:
    """Return the width and height at which a picture fills its cell."""
    height, width = picture.shape[:2]
    scale = min(_MAX_PICTURE[0] / width, _MAX_PICTURE[1] / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _font(size: int) -> ImageFont.FreeTypeFont:
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    # BASIC neither joins letters nor turns their order round, whether libraqm is there or not.
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)
