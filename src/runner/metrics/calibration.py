"""Turn what a model says of itself into the probability that it is right.

Platt, "Probabilistic Outputs for Support Vector Machines" (1999), on the log-odds of the confidence
as temperature scaling is (Guo et al., "On Calibration of Modern Neural Networks", 2017): one slope,
which is 1 / temperature, and one offset.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_EDGE = 1e-7  # a confidence is taken to be so far from 0 and 1: single precision knows no closer
# A few samples cannot say much: slope and offset are drawn to those that change nothing, as by
# normal priors of these deviations.
_SLOPE_DEVIATION = 0.5
_OFFSET_DEVIATION = 1.0
_MAX_ITERATIONS = 100
_ENOUGH = 1e-10  # of the gradient


Confidences = Sequence[float] | np.ndarray  # 0-1


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A map from confidence to probability, with how many samples it comes from."""

    slope: float
    offset: float
    count: int
    right: int

    def __call__(self, confidences: Confidences) -> list[float]:
        """Return the probability that each prediction is right."""
        log_odds = self.slope * _log_odds(np.asarray(confidences, dtype=float)) + self.offset
        return _probability(log_odds).tolist()

    def __str__(self) -> str:
        return f"calibrated on {self.count} evaluated samples, {self.right} of them right"


@dataclass(frozen=True)
class Uncalibrated:
    """Leaves confidences as the model has them; `why` says what there is no map of."""

    why: str = ""

    def __call__(self, confidences: Confidences) -> list[float]:
        return [float(confidence) for confidence in confidences]

    def __str__(self) -> str:
        return "the model's own, not calibrated" + (f": {self.why}" if self.why else "")


UNCALIBRATED = Uncalibrated()


def fit_calibration(confidences: np.ndarray, rights: np.ndarray) -> Calibration | None:
    """Return the map that makes `confidences` the probabilities of `rights`, booleans.

    None if the confidences say nothing: there are none, they are all the same, or some are no
    probabilities. Their order does not matter. Platt's targets keep a model without mistakes (or
    without a right prediction) from being called infallible.
    """
    order = np.lexsort((rights, confidences))
    confidences, rights = confidences[order].astype(float), rights[order].astype(bool)
    if not len(rights) or not np.all((confidences >= 0) & (confidences <= 1)):
        return None
    log_odds = _log_odds(confidences)
    if log_odds[0] == log_odds[-1]:
        return None
    count, right = len(rights), int(rights.sum())
    targets = np.where(rights, (right + 1) / (right + 2), 1 / (count - right + 2))
    slope, offset = _most_probable(log_odds, targets)
    if slope < 0:  # more confident where wrong: then one probability for all is the best there is
        slope, offset = 0.0, _most_probable(np.zeros_like(log_odds), targets)[1]
    return Calibration(slope=slope, offset=offset, count=count, right=right)


def _most_probable(log_odds: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """Return slope and offset by Newton's method; the problem is strictly convex."""
    features = np.stack([log_odds, np.ones_like(log_odds)], axis=1)  # (samples, 2)
    prior = np.array([1.0, 0.0])
    precision = np.array([_SLOPE_DEVIATION, _OFFSET_DEVIATION]) ** -2.0
    parameters = prior.copy()

    def cost(parameters: np.ndarray) -> float:
        scores = features @ parameters
        misfit = np.logaddexp(0.0, scores) - targets * scores
        return float(misfit.sum() + 0.5 * (precision * (parameters - prior) ** 2).sum())

    for _ in range(_MAX_ITERATIONS):
        probabilities = _probability(features @ parameters)
        gradient = features.T @ (probabilities - targets) + precision * (parameters - prior)
        if np.abs(gradient).max() < _ENOUGH * len(targets):
            break
        weights = probabilities * (1 - probabilities)
        curvature = features.T @ (features * weights[:, None]) + np.diag(precision)
        step = np.linalg.solve(curvature, gradient)
        while cost(parameters - step) > cost(parameters) and np.abs(step).max() > _ENOUGH:
            step /= 2
        parameters = parameters - step
    return float(parameters[0]), float(parameters[1])


def _log_odds(probabilities: np.ndarray) -> np.ndarray:
    inside = np.clip(probabilities, _EDGE, 1 - _EDGE)
    return np.log(inside) - np.log1p(-inside)


def _probability(log_odds: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0.0, -log_odds))
