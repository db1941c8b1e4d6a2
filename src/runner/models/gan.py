"""`GAN`: a small generator and a small discriminator, for samples of few values."""

import math
from collections.abc import Sequence

from torch import nn


class GAN(nn.ModuleDict):
    """Two multi-layer perceptrons with two hidden layers each.

    "generator" makes samples of `shape` of (batch, `latent_size`) normal numbers, "discriminator"
    gives a logit (batch, 1) for each sample.
    """

    def __init__(self, latent_size: int, shape: Sequence[int], hidden_size: int = 128) -> None:
        size = math.prod(shape)
        super().__init__(
            {
                "generator": nn.Sequential(
                    nn.Linear(latent_size, hidden_size),
                    nn.ReLU(),
                    nn.Linear(hidden_size, hidden_size),
                    nn.ReLU(),
                    nn.Linear(hidden_size, size),
                    nn.Unflatten(1, tuple(shape)),
                ),
                "discriminator": nn.Sequential(
                    nn.Flatten(),
                    nn.Linear(size, hidden_size),
                    nn.LeakyReLU(0.2),
                    nn.Linear(hidden_size, hidden_size),
                    nn.LeakyReLU(0.2),
                    nn.Linear(hidden_size, 1),
                ),
            }
        )
