"""Checks of single values; each returns one sentence, or None if the value is right."""

from collections.abc import Collection

from runner.config.duration import UNITS, parse
from runner.config.size import parse_size
from runner.errors import ConfigError, did_you_mean


def refuse(*problems: str | None) -> None:
    """Raise ConfigError with those of `problems` that are there."""
    found = [problem for problem in problems if problem is not None]
    if found:
        raise ConfigError(*found)


def at_least(key: str, value: float | None, minimum: float, hint: str = "") -> str | None:
    """Check `value` >= `minimum`; None is right."""
    if value is None or value >= minimum:
        return None
    return f"{key} must be >= {minimum:g}, got {value:g}{f' ({hint})' if hint else ''}"


def above_zero(key: str, value: float | None, hint: str = "") -> str | None:
    """Check `value` > 0; None is right."""
    if value is None or value > 0:
        return None
    return f"{key} must be > 0, got {value:g}{f' ({hint})' if hint else ''}"


def one_of(key: str, value: str | None, choices: Collection[str]) -> str | None:
    """Check that `value` is one of `choices`; None is right."""
    if value is None or value in choices:
        return None
    return f"{key} must be {' or '.join(choices)}, got '{value}'{did_you_mean(value, choices)}"


def is_duration(key: str, value: str | None, units: tuple[str, ...] = UNITS) -> str | None:
    """Check that `value` is a duration in one of `units`; None is right."""
    if value is None:
        return None
    try:
        parse(value, units=units)
    except ConfigError as error:
        return f"{key}: {error}"
    return None


def is_size(key: str, value: str | None) -> str | None:
    """Check that `value` is a number of bytes such as "5 GB"; None is right."""
    if value is None:
        return None
    try:
        parse_size(value)
    except ConfigError as error:
        return f"{key}: {error}"
    return None
