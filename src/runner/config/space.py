"""What a search may choose for one key: an interval of numbers, or one of several values."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, kw_only=True)
class Interval:
    """The numbers from `low` to `high`, both included; with a `step` those of that lattice."""

    low: float
    high: float
    log: bool = False  # every factor is as likely as every other
    is_int: bool = False
    step: float | None = None

    @property
    def size(self) -> int | None:
        """Return how many values there are; None: too many to count."""
        if self.step is None:
            return None
        return round((self.high - self.low) / self.step) + 1

    def text_of(self, value: float) -> str:
        """Return `value` as a user types it, with four digits that matter where all are allowed."""
        if self.is_int:
            return str(int(value))
        if self.step is None:
            return repr(min(max(float(f"{value:.4g}"), float(self.low)), float(self.high)))
        count = round((value - self.low) / self.step)
        return repr(float(Decimal(repr(self.low)) + count * Decimal(repr(self.step))))

    def all_values(self) -> list[float]:
        """Return every number of a lattice."""
        assert self.step is not None
        return [self.low + count * self.step for count in range(self.size or 0)]

    def value_of(self, text: str) -> float | int | None:
        """Return the number that `text` means; None if it is none of this interval."""
        try:
            value = int(text) if self.is_int else float(text)
        except ValueError:
            return None
        is_within = self.low <= value <= self.high
        return value if is_within and self._is_on_lattice(value) else None

    def _is_on_lattice(self, value: float) -> bool:
        if self.step is None:
            return True
        count = (value - self.low) / self.step
        return abs(count - round(count)) < 1e-8  # as Optuna sees it


@dataclass(frozen=True, kw_only=True)
class Choices:
    """A few values, each as the text that a user types; of a config group, its members."""

    values: tuple[str, ...]

    @property
    def size(self) -> int | None:
        """Return how many values there are."""
        return len(self.values)

    def all_values(self) -> list[str]:
        """Return every choice."""
        return list(self.values)

    def text_of(self, value: str) -> str:
        return value

    def value_of(self, text: str) -> str | None:
        """Return `text` if it is one of the choices, or None."""
        return text if text in self.values else None


Space = Interval | Choices


def size_of(spaces: Mapping[str, Space]) -> int | None:
    """Return how many combinations there are; None: too many to count."""
    sizes = [space.size for space in spaces.values()]
    known = [size for size in sizes if size is not None]
    return math.prod(known) if len(known) == len(sizes) else None
