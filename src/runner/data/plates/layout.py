"""Where each symbol stands on a flat plate; lengths in heights of a digit."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from runner.data.plates.glyphs import Glyph, GlyphBank

_REGION_SCALE = 0.83  # the region's symbols are smaller than the others


@dataclass(frozen=True, kw_only=True)
class PlacedGlyph:
    """One symbol and the box of its ink."""

    mask: Image.Image
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The symbols of a plate, from x = 0 on, and where the region's box begins, if there is one."""

    glyphs: list[PlacedGlyph]
    separator: float | None

    @property
    def corners(self) -> np.ndarray:
        """The corners (x, y) of all ink boxes, shape (4 x symbols, 2)."""
        boxes = np.array([(g.left, g.top, g.left + g.width, g.top + g.height) for g in self.glyphs])
        return boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 2)


def lay_out(text: str, bank: GlyphBank, *, region_length: int, rng: np.random.Generator) -> Layout:
    """Set `text` from left to right, the last `region_length` symbols in a box of their own."""
    stretch = rng.uniform(0.85, 1.2)  # condensed to wide
    pitch = rng.uniform(0.54, 0.66) * stretch
    letter_gap = rng.uniform(0.1, 0.3) * stretch
    region_gap = rng.uniform(0.12, 0.3)
    variants = rng.integers(0, bank.variants, len(text))
    jitter = rng.normal(0.0, 1.0, (len(text), 3)) * (0.02, 0.015, 0.04)
    region_start = len(text) - region_length if 0 < region_length < len(text) else len(text)
    x, separator, placed = 0.0, None, []
    for i, symbol in enumerate(text):
        if i == region_start:
            separator = x + region_gap
            x += 2 * region_gap
        scale = _REGION_SCALE if i >= region_start else 1.0
        glyph = bank.glyph(symbol, int(variants[i]))
        size = _size(glyph, scale, stretch * (1.0 + jitter[i, 2]))
        gap = 0.08 if symbol.isdigit() else letter_gap
        cell = max(pitch * scale, size[0] + gap)
        left = x + (cell - size[0]) / 2 + jitter[i, 0]
        top = 1.0 - scale + glyph.top * scale + jitter[i, 1]
        placed.append(
            PlacedGlyph(mask=glyph.mask, left=left, top=top, width=size[0], height=size[1])
        )
        x += cell
    return Layout(glyphs=placed, separator=separator)


def _size(glyph: Glyph, scale: float, stretch: float) -> tuple[float, float]:
    height = glyph.height * scale
    return height * glyph.mask.width / glyph.mask.height * stretch, height
