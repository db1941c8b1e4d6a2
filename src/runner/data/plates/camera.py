"""Photograph a flat plate: perspective, framing, light, blur and noise."""

import math

import numpy as np
from PIL import Image, ImageFilter

from runner.data.plates.layout import Layout
from runner.data.plates.scene import Scene

# A crop is the box around all symbols and these shares of it on each side.
_MARGIN_X, _MARGIN_Y = 0.05, 0.12
_FEWEST_ROWS = 20  # that a far-away plate has


def photograph(
    scene: Scene, layout: Layout, *, height: int, width: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the picture as uint8, shape (height, width)."""
    view = _view(rng)
    matrix = _framing(view, layout.corners, height, width, rng) @ view
    to_scene = np.array(
        [[scene.scale, 0, scene.origin[0]], [0, scene.scale, scene.origin[1]], [0, 0, 1]]
    )
    inverse = to_scene @ np.linalg.inv(matrix)
    coefficients = (inverse / inverse[2, 2]).reshape(-1)[:8].tolist()
    image = scene.image.transform(
        (width, height), Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR
    )
    return _develop(_blur(image, rng), rng)


def _view(rng: np.random.Generator) -> np.ndarray:
    """Return the homography under which a plate is seen; lengths in heights of a digit."""
    z = rng.standard_normal(6)
    angle = math.radians(5.0) * z[0]
    cos, sin = math.cos(angle), math.sin(angle)
    rotation = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    shear = np.array([[1, 0.17 * z[1], 0], [0.02 * z[2], 1, 0], [0, 0, 1]])
    perspective = np.array([[1, 0, 0], [0, 1, 0], [0.012 * z[3], 0.03 * z[4], 1]])
    return perspective @ rotation @ shear


def _framing(
    view: np.ndarray, corners: np.ndarray, height: int, width: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the scaling that brings the symbols, seen under `view`, into the picture."""
    seen = np.column_stack([corners, np.ones(len(corners))]) @ view.T
    seen = seen[:, :2] / seen[:, 2:]
    low, high = seen.min(axis=0), seen.max(axis=0)
    extent = high - low
    noise = rng.normal(0.0, 1.0, (2, 2)) * (0.015, 0.05)
    low = low - extent * (np.array([_MARGIN_X, _MARGIN_Y]) + noise[0])
    high = high + extent * (np.array([_MARGIN_X, _MARGIN_Y]) + noise[1])
    scale_x, scale_y = np.array([width, height]) / (high - low)
    return np.array([[scale_x, 0, -low[0] * scale_x], [0, scale_y, -low[1] * scale_y], [0, 0, 1]])


def _blur(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Lose sharpness as lenses, motion and low resolution do; each in some pictures."""
    u = rng.random(5)
    unit = image.height / 64
    if u[0] < 0.35:
        image = image.filter(ImageFilter.GaussianBlur(float(u[1]) * 1.6 * unit))
    if u[2] < 0.4:
        lowest = min(_FEWEST_ROWS / image.height, 0.9)
        factor = lowest + (0.9 - lowest) * float(u[3])
        small = (round(image.width * factor), round(image.height * factor))
        method = Image.Resampling.BILINEAR if u[4] < 0.8 else Image.Resampling.NEAREST
        image = image.resize(small, Image.Resampling.BOX).resize(image.size, method)
    return image


def _develop(image: Image.Image, rng: np.random.Generator) -> np.ndarray:
    """Add uneven light, an edge of shadow, gamma and noise."""
    pixels = np.asarray(image, dtype=np.float32)
    height, width = pixels.shape
    u = rng.random(8)
    rows = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None]
    columns = np.linspace(-0.5, 0.5, width, dtype=np.float32)
    light = 1.0 + np.float32(u[0] - 0.5) * 0.6 * rows + np.float32(u[1] - 0.5) * 0.6 * columns
    if u[2] < 0.15:
        shadow = rows + np.float32(u[3] - 0.5) * columns < np.float32(u[4] - 0.5)
        light = np.where(shadow, light * np.float32(0.4 + 0.5 * u[5]), light)
    pixels = pixels * light
    sigma = np.float32(14.0 * u[6] ** 2)
    pixels += rng.standard_normal(pixels.shape, dtype=np.float32) * sigma
    return np.clip(pixels, 0.0, 255.0).astype(np.uint8)
