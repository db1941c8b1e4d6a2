"""The first value at which the journals of two runs part."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runner.run.journal import Row

MACHINE_SPLITS = ("speed", "system")  # what the machine did, not what was computed


@dataclass(frozen=True, kw_only=True)
class Parting:
    """How far two journals are equal; `metric` is None if no value that both have differs."""

    num_equal: int  # values before, or in all
    step: int | None = None  # of the first that differs; else the last step that both have
    metric: str | None = None  # "evaluation.loss"
    first: float | None = None
    second: float | None = None

    @property
    def have_parted(self) -> bool:
        return self.metric is not None

    @property
    def has_nothing(self) -> bool:
        """Whether the two have no value in common."""
        return self.step is None


def parting_of(first: Sequence[Row], second: Sequence[Row], *, rtol: float = 0.0) -> Parting:
    """Compare what both have logged for the same step, in the order of steps.

    Values are equal when they are the same bits, or differ by at most `rtol` times the larger. Rows
    and values that one of the two lacks say nothing: it may log at other steps, or be shorter.
    """
    num_equal, last = 0, None
    for step, metric, one, other in _common(first, second):
        if not _are_equal(one, other, rtol):
            return Parting(num_equal=num_equal, step=step, metric=metric, first=one, second=other)
        num_equal, last = num_equal + 1, step
    return Parting(num_equal=num_equal, step=last)


def _common(first: Sequence[Row], second: Sequence[Row]) -> Iterator[tuple[int, str, float, float]]:
    others = {(row.step, row.split): row.values for row in second}
    for row in sorted(first, key=lambda row: row.step):
        if row.split in MACHINE_SPLITS:
            continue
        values = others.get((row.step, row.split), {})
        for name, value in row.values.items():
            if name in values:
                yield row.step, f"{row.split}.{name}", value, values[name]


def _are_equal(one: float, other: float, rtol: float) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return one == other or math.isclose(one, other, rel_tol=rtol, abs_tol=0.0)
