"""`PlateAugmentation`: make training batches look as if photographed once more, on any device."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from runner.data.data import Batch
from runner.data.draws import Draws

_FEWEST_ROWS = 18  # that a picture is down-sampled to
_BLUR_TAPS = 5


@dataclass(frozen=True, kw_only=True)
class PlateAugmentation:
    """Random changes of whole batches of pictures of text; a strength of 0 leaves that part out.

    geometry: shift, size, tilt, shear, perspective; light: shading and gamma; cutout: grey patches;
    blur: lost resolution and blur; noise. All random numbers are drawn on the
    host, and nothing waits for the device. Gives float pictures from 0 to 255.
    """

    geometry: float = 1.0
    light: float = 1.0
    cutout: float = 1.0
    blur: float = 1.0
    noise: float = 1.0

    def __call__(self, batch: Batch, draws: Draws) -> Batch:
        """Return the batch with its `image` (batch, channels, height, width) changed."""
        image: Tensor = batch["image"]
        numbers = _Numbers(draws, image.device)
        pixels = image.float()
        if self.geometry:
            pixels = _warp(pixels, numbers, self.geometry)
        if self.light:
            pixels = _relight(pixels, numbers, self.light)
        if self.cutout:
            pixels = _cut_out(pixels, numbers, self.cutout)
        if self.blur:
            pixels = _lose_resolution(pixels, numbers, self.blur)
            pixels = _blur(pixels, numbers, self.blur)
        if self.noise:
            pixels = _add_noise(pixels, numbers, self.noise)
        return {**batch, "image": pixels.clamp_(0.0, 255.0)}


class _Numbers:
    """Brings random numbers, one a picture, to the pictures' device."""

    def __init__(self, draws: Draws, device: torch.device) -> None:
        self._draws, self._device = draws, device

    def uniform(self, low: float, high: float) -> Tensor:
        """Return numbers between `low` and `high`, shape (batch, 1, 1)."""
        return (low + (high - low) * self._draws.uniform(1, 1)).to(self._device, non_blocking=True)

    def some(self, share: float) -> Tensor:
        """Return a mask that picks about `share` of the pictures, shape (batch, 1, 1)."""
        return self.uniform(0.0, 1.0) < share

    def host(self) -> float:
        """Return one number between 0 and 1 for the whole batch, without touching the device."""
        return self._draws.once()

    def field(self, shape: torch.Size) -> Tensor:
        """Return one number between 0 and 1 a pixel."""
        return self._draws.uniform(*shape[1:]).to(self._device, non_blocking=True)


def _coordinates(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Return x (1, 1, width) and y (1, height, 1) from -1 to 1."""
    height, width = pixels.shape[-2:]
    x = torch.linspace(-1.0, 1.0, width, device=pixels.device).view(1, 1, width)
    y = torch.linspace(-1.0, 1.0, height, device=pixels.device).view(1, height, 1)
    return x, y


def _warp(pixels: Tensor, numbers: _Numbers, strength: float) -> Tensor:
    """Look at each picture through its own homography."""
    s = strength
    x, y = _coordinates(pixels)
    slant, tilt = numbers.uniform(-0.05 * s, 0.05 * s), numbers.uniform(-0.3 * s, 0.3 * s)
    size_x, size_y = (
        numbers.uniform(1 - 0.04 * s, 1 + 0.12 * s),
        numbers.uniform(1 - 0.1 * s, 1 + 0.25 * s),
    )
    shift_x, shift_y = numbers.uniform(-0.03 * s, 0.03 * s), numbers.uniform(-0.12 * s, 0.12 * s)
    depth_x, depth_y = numbers.uniform(-0.1 * s, 0.1 * s), numbers.uniform(-0.06 * s, 0.06 * s)
    depth = 1 + depth_x * x + depth_y * y
    source_x = (size_x * x + slant * y + shift_x) / depth
    source_y = (tilt * x + size_y * y + shift_y) / depth
    grid = torch.stack([source_x, source_y], dim=-1)
    return functional.grid_sample(pixels, grid, padding_mode="border", align_corners=True)


def _relight(pixels: Tensor, numbers: _Numbers, strength: float) -> Tensor:
    """Shade each picture along a random direction and change its gamma."""
    x, y = _coordinates(pixels)
    slope_x, slope_y = (numbers.uniform(-0.4 * strength, 0.4 * strength) for _ in range(2))
    gamma = 2.0 ** numbers.uniform(-0.8 * strength, 0.8 * strength)
    shade = (1 + slope_x * x + slope_y * y).clamp_min(0.1)
    unit = (pixels / 255.0).clamp_min(1e-3)
    return (unit ** gamma[:, None] * shade[:, None]).clamp(0.0, 1.0) * 255.0


def _cut_out(pixels: Tensor, numbers: _Numbers, strength: float) -> Tensor:
    """Cover a small patch of about a third of the pictures."""
    x, y = _coordinates(pixels)
    centre_x, centre_y = numbers.uniform(-1.0, 1.0), numbers.uniform(-1.0, 1.0)
    half_x, half_y = numbers.uniform(0.01, 0.05), numbers.uniform(0.05, 0.3)
    grey = numbers.uniform(0.0, 255.0)[:, None]
    inside = ((x - centre_x).abs() < half_x) & ((y - centre_y).abs() < half_y)
    inside = inside & numbers.some(0.35 * strength)
    return torch.where(inside[:, None], grey, pixels)


def _lose_resolution(pixels: Tensor, numbers: _Numbers, strength: float) -> Tensor:
    """Sample about a third of the pictures down and up again, by one factor a batch."""
    height, width = pixels.shape[-2:]
    lowest = min(_FEWEST_ROWS / height, 0.9)
    factor = lowest + (0.9 - lowest) * numbers.host()
    size = (round(height * factor), round(width * factor))
    small = functional.interpolate(pixels, size=size, mode="area")
    coarse = functional.interpolate(small, size=(height, width), mode="bilinear")
    return torch.where(numbers.some(0.35 * strength)[:, None], coarse, pixels)


def _blur(pixels: Tensor, numbers: _Numbers, strength: float) -> Tensor:
    """Blur each picture with a Gaussian of its own width along x and along y."""
    count, height = pixels.shape[0], pixels.shape[2]
    taps = torch.arange(_BLUR_TAPS, device=pixels.device) - _BLUR_TAPS // 2
    planes = pixels.transpose(0, 1)  # (channels, batch, height, width): a kernel for each picture
    widest = 1.6 * strength * height / 64
    for shape in ((count, 1, 1, _BLUR_TAPS), (count, 1, _BLUR_TAPS, 1)):
        sigma = numbers.uniform(-widest, widest).clamp_min(0.05)  # half of them stay sharp
        kernel = torch.exp(-0.5 * (taps / sigma) ** 2)
        kernel = (kernel / kernel.sum(dim=-1, keepdim=True)).view(shape)
        planes = functional.conv2d(planes, kernel, padding="same", groups=count)
    return planes.transpose(0, 1)


def _add_noise(pixels: Tensor, numbers: _Numbers, strength: float) -> Tensor:
    """Add noise, strong in few pictures."""
    amount = 60.0 * strength * numbers.uniform(0.0, 1.0) ** 3
    return pixels + amount[:, None] * (numbers.field(pixels.shape) - 0.5)
