import pytest

from runner.config.duration import Duration, parse, parse_optional
from runner.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("2 epochs", 2, "epochs"),
        ("1 epoch", 1, "epochs"),
        ("500steps", 500, "steps"),
        (" 3 Evaluations ", 3, "evaluations"),
        ("0.5 minutes", 0.5, "minutes"),
    ],
)
def test_a_number_and_a_unit_are_a_duration(text: str, value: float, unit: str) -> None:
    assert parse(text) == Duration(value, unit)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2", "write a number and a unit"),
        ("two epochs", "write a number and a unit"),
        ("2 epoks", "did you mean 'epochs'"),
        ("0 steps", "more than nothing"),
        ("1.5 epochs", "whole number of epochs"),
    ],
)
def test_anything_else_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(text)


def test_a_unit_that_does_not_fit_the_place_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be counted in minutes here"):
        parse("2 minutes", units=("steps", "epochs"))


def test_times_have_seconds_and_counts_are_no_time() -> None:
    assert parse("2 hours").seconds == 7200
    assert parse("2 hours").is_time
    assert not parse("2 steps").is_time


def test_none_stays_none() -> None:
    assert parse_optional(None) is None
    assert parse_optional("1 step") == Duration(1, "steps")
