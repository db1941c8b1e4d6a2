"""`Duration`: a stretch of training as value and unit, written "2 epochs" or "10 minutes"."""

import re
from dataclasses import dataclass

from runner.errors import ConfigError, did_you_mean

PROGRESS_UNITS = ("steps", "epochs", "evaluations")  # exact: they depend on progress alone
SECONDS_PER_UNIT = {"seconds": 1.0, "minutes": 60.0, "hours": 3600.0, "days": 86400.0}
UNITS = (*PROGRESS_UNITS, *SECONDS_PER_UNIT)


@dataclass(frozen=True, slots=True)
class Duration:
    """A positive number of `unit`s (one of UNITS); whole for steps, epochs and evaluations."""

    value: float
    unit: str

    @property
    def is_time(self) -> bool:
        return self.unit in SECONDS_PER_UNIT

    @property
    def seconds(self) -> float:
        """Return the length in seconds of a duration that is a time."""
        return self.value * SECONDS_PER_UNIT[self.unit]

    def __str__(self) -> str:
        return f"{self.value:g} {self.unit}"


def parse(text: str, *, units: tuple[str, ...] = UNITS) -> Duration:
    """Return the duration that `text` means, or raise ConfigError saying what is wrong with it."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", str(text).lower())
    if match is None:
        example = f"'2 {units[0]}'"
        raise ConfigError(f"'{text}' is no duration: write a number and a unit, such as {example}")
    number, word = match.groups()
    unit = word if word.endswith("s") else f"{word}s"
    if unit not in UNITS:
        raise ConfigError(f"'{text}' has no known unit{did_you_mean(unit, UNITS)}{_among(units)}")
    if unit not in units:
        raise ConfigError(f"'{text}' cannot be counted in {unit} here{_among(units)}")
    if float(number) <= 0:
        raise ConfigError(f"'{text}' must be more than nothing")
    if unit in PROGRESS_UNITS and not float(number).is_integer():
        raise ConfigError(f"'{text}' must be a whole number of {unit}")
    return Duration(value=float(number), unit=unit)


def parse_optional(text: str | None) -> Duration | None:
    """Return the duration that `text` means; None stays None."""
    return None if text is None else parse(text)


def seconds_of(duration: Duration | None) -> float | None:
    """Return the length in seconds of a duration that is a time; None stays None."""
    return None if duration is None else duration.seconds


def _among(units: tuple[str, ...]) -> str:
    return f" (units: {', '.join(units)})"
