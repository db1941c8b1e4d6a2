"""Draw a skeleton with a pen whose weight, slant and hand vary."""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from runner.data.plates.strokes import Point, Skeleton

MARGIN = 0.12  # room for the pen around a skeleton's box, in heights
_OVERSAMPLING = 3
_SEGMENTS = 4  # straight pieces between two points of a skeleton


@dataclass(frozen=True, kw_only=True)
class Pen:
    """How one symbol is drawn; lengths in heights of a digit."""

    weight: float = 0.16
    contrast: float = 0.0  # how much thicker a stroke is across the nib than along it
    nib_angle: float = 0.0  # radians
    shear: float = 0.0
    wobble: float = 0.0  # standard deviation of the points

    @classmethod
    def draw_from(cls, rng: np.random.Generator) -> "Pen":
        """Return a random pen, from thin to bold."""
        return cls(
            weight=float(np.clip(rng.normal(0.155, 0.028), 0.085, 0.23)),
            contrast=float(rng.uniform(0.0, 0.25)),
            nib_angle=float(rng.uniform(-0.9, 0.6)),
            shear=float(rng.normal(0.0, 0.06)),
            wobble=0.012,
        )


def draw_skeleton(
    skeleton: Skeleton, *, pen: Pen, height: int, rng: np.random.Generator
) -> Image.Image:
    """Return the symbol as a mask (mode L, ink 255); `height` pixels are the height of a digit."""
    scale = height * _OVERSAMPLING
    size = [round((extent + 2 * MARGIN) * height) for extent in (skeleton.width, 1.0)]
    canvas = Image.new("L", (size[0] * _OVERSAMPLING, size[1] * _OVERSAMPLING))
    draw = ImageDraw.Draw(canvas)
    for stroke in skeleton.strokes:
        curve = _curve(stroke, pen, rng)
        curve[:, :2] += MARGIN
        _draw_curve(draw, curve * scale)
    for x, y in skeleton.dots:
        corners = _diamond(x, y, pen, rng) + MARGIN
        draw.polygon([tuple(corner) for corner in corners * scale], fill=255)
    return canvas.reduce(_OVERSAMPLING)


def _curve(stroke: tuple[Point, ...], pen: Pen, rng: np.random.Generator) -> np.ndarray:
    """Return (x, y, thickness) along the smooth curve through the points of a stroke."""
    points = np.array(stroke)
    closed = stroke[0] == stroke[-1]
    points[:, :2] += rng.normal(0.0, pen.wobble, (len(points), 2))
    if closed:
        points[-1] = points[0]
    points[:, 0] += pen.shear * (0.5 - points[:, 1])
    first, last = (points[-2], points[1]) if closed else (points[0], points[-1])
    padded = np.vstack([first, points, last])
    weights = _spline_weights()  # (pieces, 4)
    windows = np.stack([padded[i : len(points) - 1 + i] for i in range(4)])  # (4, spans, 3)
    curve = np.einsum("pk,ksd->spd", weights, windows).reshape(-1, 3)
    curve = np.vstack([curve, points[-1]])
    direction = np.gradient(curve[:, :2], axis=0)
    angle = np.arctan2(direction[:, 1], direction[:, 0])
    curve[:, 2] *= pen.weight * (1.0 - pen.contrast * np.cos(angle - pen.nib_angle) ** 2)
    return curve


@cache
def _spline_weights() -> np.ndarray:
    """Return the Catmull-Rom weights at `_SEGMENTS` places of a span."""
    t = np.arange(_SEGMENTS)[:, None] / _SEGMENTS
    powers = np.hstack([np.ones_like(t), t, t**2, t**3])
    basis = np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]]) / 2
    return powers @ basis


def _draw_curve(draw: ImageDraw.ImageDraw, curve: np.ndarray) -> None:
    direction = np.gradient(curve[:, :2], axis=0)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True) + 1e-9
    normal = np.stack([-direction[:, 1], direction[:, 0]], axis=1) * curve[:, 2:] / 2
    left, right = curve[:, :2] + normal, curve[:, :2] - normal
    quads = np.hstack([left[:-1], left[1:], right[1:], right[:-1]]).tolist()
    for quad in quads:
        draw.polygon(quad, fill=255)
    for x, y, thickness in curve[1:-1].tolist():
        radius = thickness / 2
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)


def _diamond(x: float, y: float, pen: Pen, rng: np.random.Generator) -> np.ndarray:
    radius = 0.45 * pen.weight + 0.045
    turn = rng.normal(0.0, 0.25)
    angles = turn + np.arange(4) * math.pi / 2
    centre = np.array([x + pen.shear * (0.5 - y), y]) + rng.normal(0.0, pen.wobble, 2)
    return centre + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
