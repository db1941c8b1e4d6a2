"""The data: points on two spirals."""

import math

import torch
from torch.utils.data import TensorDataset

from runner import Data


def spirals(*, num_points: int = 600, turns: float = 1.5, noise: float = 0.05) -> Data:
    """Return points (x, y) with the number of their spiral, 0 or 1; a tenth each to evaluate on."""
    generator = torch.Generator().manual_seed(0)
    along = torch.rand(num_points, generator=generator).sqrt()  # 0 at the centre, 1 at the end
    spiral = torch.arange(num_points) % 2
    angle = 2 * math.pi * turns * along + math.pi * spiral
    points = torch.stack([along * angle.cos(), along * angle.sin()], dim=1)
    points += noise * torch.randn(num_points, 2, generator=generator)
    rest = num_points // 10
    return Data(
        train=TensorDataset(points[2 * rest :], spiral[2 * rest :]),
        evaluation=TensorDataset(points[:rest], spiral[:rest]),
        test=TensorDataset(points[rest : 2 * rest], spiral[rest : 2 * rest]),
    )
