"""`FrechetDistance`: how far two sets of samples are apart, by their means and covariances."""

import torch
from torch import Tensor

_SEED = 0x66726563  # of the directions: the same for every evaluation of every run


class FrechetDistance:
    """The Frechet distance of two normal distributions fitted to two sets of samples.

    |m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)) (Dowson and Landau 1982; of what a network makes of
    pictures, Heusel et al. 2017). Samples of more than `num_features` values are seen along so many
    directions, drawn once and for all. It is 0 for equal means and covariances.
    """

    def __init__(self, num_features: int = 64) -> None:
        self._size = num_features
        self._directions: Tensor | None = None
        self._sums: Tensor = torch.zeros(2, 1 + num_features + num_features**2, dtype=torch.float64)

    def update(self, predicted: Tensor, targets: Tensor) -> None:
        """Add two sets of samples (batch, ...), as many values each."""
        for sums, samples in zip(self._sums, (predicted, targets), strict=True):
            features = self._features(samples.detach().flatten(1).cpu().double())
            sums[0] += len(features)
            sums[1 : 1 + self._size] += features.sum(0)
            sums[1 + self._size :] += (features.T @ features).flatten()

    def state(self) -> Tensor:
        return self._sums.clone()

    def load(self, state: Tensor) -> None:
        self._sums = state.clone()

    def compute(self) -> float:
        """Return the distance, in squared units of the samples; NaN with fewer than two of them."""
        if self._sums[:, 0].min() < 2:
            return float("nan")
        (mean, covariance), (mean_too, covariance_too) = map(self._moments, self._sums)
        root = _square_root(covariance)
        mixed = torch.linalg.eigvalsh(root @ covariance_too @ root).clamp(min=0).sqrt().sum()
        spread = covariance.trace() + covariance_too.trace() - 2 * mixed
        return float((mean - mean_too).square().sum() + spread)

    def _features(self, samples: Tensor) -> Tensor:
        missing = self._size - samples.shape[1]
        if missing >= 0:
            return torch.nn.functional.pad(samples, (0, missing))
        if self._directions is None:
            self._directions = _directions(samples.shape[1], self._size)
        return samples @ self._directions

    def _moments(self, sums: Tensor) -> tuple[Tensor, Tensor]:
        count, total, products = sums.split([1, self._size, self._size**2])
        mean = total / count
        covariance = products.view(self._size, self._size) / count - torch.outer(mean, mean)
        return mean, covariance


def _directions(num_values: int, count: int) -> Tensor:
    """Return `count` orthogonal directions, as columns."""
    generator = torch.Generator().manual_seed(_SEED)
    drawn = torch.randn(num_values, count, generator=generator, dtype=torch.float64)
    return torch.linalg.qr(drawn).Q


def _square_root(matrix: Tensor) -> Tensor:
    """Return the square root of a symmetric matrix without negative eigenvalues."""
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag(values.clamp(min=0).sqrt()) @ vectors.T
