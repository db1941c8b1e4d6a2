"""Find a learning rate: raise it step by step from far too small to far too large.

After Smith 2017, "Cyclical learning rates for training neural networks": the loss first stays, then
falls, then explodes. A good rate is where it falls most steeply.
"""

import csv
import io
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch.optim import Optimizer

from runner.errors import ConfigError, RunError
from runner.files import write_text_atomically
from runner.optim.optimization import LR_FACTOR
from runner.training.parts import Parts
from runner.tuning.trial import Steps, unchanged

_EXPLODED = 4.0  # times the lowest loss: nothing is learned any more
_FEWEST = 20  # steps of which a curve can be read
_RUNNING = 0.9  # of the running mean by which an explosion is seen


@dataclass(frozen=True, kw_only=True)
class LearningRates:
    """The loss at each learning rate; `smoothed` is the mean with its neighbours."""

    rates: list[float] = field(repr=False)
    losses: list[float] = field(repr=False)
    smoothed: list[float] = field(repr=False)
    suggestion: float | None  # None: the loss fell nowhere

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write the curve into `folder` as NAME.png and NAME.csv, and return both."""
        picture, table = folder / f"{name}.png", folder / f"{name}.csv"
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(["lr", "loss", "smoothed"])
        rows.writerows(zip(self.rates, self.losses, self.smoothed, strict=True))
        write_text_atomically(table, text.getvalue())
        self._draw(picture)
        return picture, table

    def _draw(self, path: Path) -> None:
        # matplotlib takes half a second to import, which `Trainer` is not to wait for.
        from runner.reports.figures import BEST, OTHERS, dress, new_figure, save

        figure = new_figure(6.0, 3.6)
        axis = figure.add_subplot()
        axis.plot(self.rates, self.losses, color=OTHERS, linewidth=0.8)
        axis.plot(self.rates, self.smoothed, color=BEST[0], linewidth=1.8)
        if self.suggestion is not None:
            axis.axvline(self.suggestion, color=BEST[1], linewidth=1.2)
            axis.set_title(f"steepest at {self.suggestion:.2g}", fontsize=9)
        axis.set_xscale("log")
        low, high = min(self.smoothed), max(self.smoothed[: max(2, len(self.smoothed) // 2)])
        margin = 0.15 * (high - low) or 1.0
        axis.set_ylim(low - margin, high + 2 * margin)
        dress(axis, x="learning rate", y="training loss")
        save(figure, path)


def find_learning_rate(
    parts: Parts, *, num_steps: int = 200, start: float = 1e-7, end: float = 10.0
) -> LearningRates:
    """Return the loss of real training steps at rates from `start` to `end`, evenly in log scale.

    It ends early when the loss explodes. Groups of parameters keep their share of the rate. Weights
    and optimizer of `parts` are afterwards what they were. ConfigError for a range that is none,
    RunError when the loss is no number from the beginning.
    """
    if num_steps < _FEWEST or not 0 < start < end:
        raise ConfigError(
            f"the learning rate is raised from {start:g} to {end:g} in {num_steps} steps: give at "
            f"least {_FEWEST} steps, and a range above 0 that rises"
        )
    rates = np.geomspace(start, end, num_steps).tolist()
    with unchanged(parts):
        losses = _losses(parts, rates)
    if len(losses) < _FEWEST:
        raise RunError(
            f"the loss explodes within {len(losses)} steps, at a learning rate of "
            f"{rates[len(losses)]:.2g}: begin with a smaller one"
        )
    rates, smoothed = rates[: len(losses)], smoothed_by_neighbours(losses, reach=num_steps // 40)
    return LearningRates(
        rates=rates, losses=losses, smoothed=smoothed, suggestion=steepest(rates, smoothed)
    )


def steepest(rates: list[float], losses: list[float]) -> float | None:
    """Return the rate at which the loss falls fastest on its way to its lowest value."""
    slopes = np.gradient(np.array(losses), np.log(rates))
    lowest = int(np.argmin(losses))
    if lowest < 1 or slopes[:lowest].min() >= 0:
        return None
    return rates[int(np.argmin(slopes[:lowest]))]


def smoothed_by_neighbours(values: list[float], *, reach: int) -> list[float]:
    """Return the mean of each value with `reach` neighbours on each side, fewer at the ends."""
    return [
        float(np.mean(values[max(0, position - near) : position + near + 1]))
        for position in range(len(values))
        for near in [min(reach, position, len(values) - 1 - position)]
    ]


def _losses(parts: Parts, rates: list[float]) -> list[float]:
    """Return the loss of a step at each rate, before it, until it explodes."""
    step, losses = Steps(parts), []
    optimizer = parts.optimizer
    if not isinstance(optimizer, Optimizer):
        raise ConfigError(
            f"one learning rate is raised, and there are several ({', '.join(optimizer)})"
        )
    running, lowest = 0.0, math.inf
    for number, rate in enumerate(rates, start=1):
        for group in optimizer.param_groups:
            group["lr"] = rate * group.get(LR_FACTOR, 1.0)
        loss, _ = step()
        running = _RUNNING * running + (1 - _RUNNING) * loss
        mean = running / (1 - _RUNNING**number)
        lowest = min(lowest, mean)
        if not math.isfinite(loss) or (number > _FEWEST and mean > _EXPLODED * abs(lowest)):
            break
        losses.append(loss)
    return losses
