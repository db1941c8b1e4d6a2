"""Paint a plate as it lies flat: surroundings, sheet, border, strip, screws, dirt and ink."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from runner.data.plates.layout import Layout

_SURROUNDINGS = 0.7  # of the car around the sheet, in heights of a digit
_STRIP_WIDTH = 0.62  # of the band with the country's sign at the left


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A flat plate in pixels (mode L); a layout's point p is at `origin` + `scale` * p."""

    image: Image.Image
    origin: tuple[float, float]
    scale: float


def paint(
    layout: Layout, *, scale: float, caption: Image.Image | None, rng: np.random.Generator
) -> Scene:
    """Return the plate for `layout`, `scale` pixels to the height of a digit."""
    painter = _Painter(layout, scale, rng)
    painter.surroundings()
    painter.sheet()
    painter.region(caption)
    painter.screws()
    painter.ink()
    painter.dirt()
    return Scene(image=painter.image, origin=painter.origin, scale=scale)


class _Painter:
    def __init__(self, layout: Layout, scale: float, rng: np.random.Generator) -> None:
        self._layout, self._scale, self._rng = layout, scale, rng
        self._has_strip = rng.random() < 0.85
        left, top, right, bottom = rng.uniform(0.1, 0.34, 4)
        left += _STRIP_WIDTH if self._has_strip else 0.0
        margin = round(_SURROUNDINGS * scale)
        self.origin = margin + left * scale, margin + top * scale
        width = round((left + layout.corners[:, 0].max() + right) * scale)
        height = round((top + 1.0 + bottom) * scale)
        self._edges = (margin, margin, margin + width, margin + height)
        self._paper = float(70 + 180 * np.sqrt(rng.random()))
        self._black = self._paper * (0.05 + 0.5 * float(rng.random()) ** 2)
        self.image = Image.new("L", (width + 2 * margin, height + 2 * margin), self._tone())
        self._draw = ImageDraw.Draw(self.image)

    def surroundings(self) -> None:
        """Give the car some bars, bumpers and shadows."""
        width, height = self.image.size
        for x, y, w, h in self._rng.random((int(self._rng.integers(0, 4)), 4)):
            box = (x * width - width / 2, y * height, (x + w) * width, (y + h * 0.3) * height)
            self._draw.rectangle(box, fill=self._tone())

    def sheet(self) -> None:
        """Lay the sheet with its border and the strip with the country's sign."""
        left, top, right, bottom = self._edges
        scale = self._scale
        self._draw.rounded_rectangle(self._edges, 0.12 * scale, fill=int(self._paper))
        if self._has_strip:
            self._strip()
        if self._rng.random() < 0.8:
            inset = float(self._rng.uniform(0.0, 0.06)) * scale
            frame = (left + inset, top + inset, right - inset, bottom - inset)
            self._draw.rounded_rectangle(
                frame, 0.1 * scale, outline=int(self._black), width=max(1, round(0.035 * scale))
            )

    def _strip(self) -> None:
        left, top, _, bottom = self._edges
        scale, rng = self._scale, self._rng
        right = left + 0.58 * scale
        blue = self._paper * float(rng.uniform(0.2, 0.75))
        self._draw.rectangle((left, top, right, bottom), fill=int(blue))
        for i, tone in enumerate(rng.uniform(0.3, 1.0, 3)):  # the flag
            y = top + (0.15 + 0.12 * i) * scale
            box = (left + 0.1 * scale, y, right - 0.1 * scale, y + 0.12 * scale)
            self._draw.rectangle(box, fill=int(self._paper * tone))
        for row in (0.95, 1.15):  # small writing
            for x in rng.uniform(0.1, 0.45, 4):
                x, y = left + x * scale, top + row * scale
                self._draw.line((x, y, x, y + 0.13 * scale), fill=int(self._paper))

    def region(self, caption: Image.Image | None) -> None:
        """Draw the box of the region, with the caption above its symbols."""
        if self._layout.separator is None:
            return
        scale, right = self._scale, self._edges[2]
        x = self.origin[0] + self._layout.separator * scale
        width = max(1, round(0.04 * scale))
        self._draw.line((x, self._edges[1], x, self._edges[3]), int(self._black), width)
        if caption is None or self._rng.random() < 0.1:
            return
        size = round((right - x) * 0.75), max(2, round(0.24 * scale))
        place = round(x + (right - x) * 0.12), round(self.origin[1] - 0.14 * scale)
        self.image.paste(int(self._black), place, caption.resize(size))

    def screws(self) -> None:
        """Fasten the plate: round heads with a dark ring, some beside the symbols."""
        left, top, right, bottom = self._edges
        for x, y, r in self._rng.random((int(self._rng.integers(0, 6)), 3)):
            radius = (0.04 + 0.06 * r) * self._scale
            x, y = left + x * (right - left), top + y * (bottom - top)
            box = (x - radius, y - radius, x + radius, y + radius)
            ring = int(self._paper * 0.55)
            self._draw.ellipse(box, fill=int(self._paper * (0.5 + 0.5 * r)), outline=ring)

    def ink(self) -> None:
        """Set the symbols, sometimes embossed with a bright edge."""
        ink = Image.new("L", self.image.size)
        for glyph in self._layout.glyphs:
            size = (
                max(1, round(glyph.width * self._scale)),
                max(1, round(glyph.height * self._scale)),
            )
            x = round(self.origin[0] + glyph.left * self._scale)
            y = round(self.origin[1] + glyph.top * self._scale)
            mask = glyph.mask.resize(size, Image.Resampling.BILINEAR)
            ink.paste(255, (x, y), mask)
        if self._rng.random() < 0.4:
            dx, dy = (int(d) for d in self._rng.integers(-1, 2, 2))
            glow = ImageChops.offset(ink, dx, dy)
            self.image.paste(int(min(255.0, self._paper * 1.2)), (0, 0), glow)
        self.image.paste(int(self._black), (0, 0), ink)

    def dirt(self) -> None:
        """Splash specks of mud and worn-off paint."""
        left, top, right, bottom = self._edges
        count = int(self._rng.integers(0, 12))
        for x, y, r, tone in self._rng.random((count, 4)):
            x, y = left + x * (right - left), top + y * (bottom - top)
            radius = (0.01 + 0.06 * r**3) * self._scale
            fill = int(self._black + (self._paper - self._black) * tone)
            box = (x - radius, y - radius * 0.8, x + radius, y + radius * 0.8)
            self._draw.ellipse(box, fill=fill)

    def _tone(self) -> int:
        return int(self._rng.integers(5, 250))
