from pathlib import Path
from typing import Any, Literal, Optional

import pytest
from torch import Tensor

from runner.config.annotations import fits, name_of


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (1, int),
        (1, float),
        (None, int | None),
        (None, Optional[int]),  # noqa: UP045
        ("a", str),
        ([1, 2], list[int]),
        ([1, 2], tuple[int, int]),
        ("min", Literal["min", "max"]),
        ("somewhere", Path),
        ({"a": 1}, dict[str, int]),
        (0.1, float | Tensor),
        (object(), Any),
    ],
)
def test_fitting_values_fit(value: object, annotation: Any) -> None:
    assert fits(value, annotation)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        ("1", int),
        (True, int),
        (1.5, int),
        (1, bool),
        (None, int),
        ([1, "a"], list[int]),
        ("ab", list),
        ("mean", Literal["min", "max"]),
        ("abc", float | Tensor),
        (3, dict),
    ],
)
def test_other_values_do_not(value: object, annotation: Any) -> None:
    assert not fits(value, annotation)


def test_annotations_are_named_in_words() -> None:
    assert name_of(int | None) == "int or null"
    assert name_of(Literal["min", "max"]) == "'min' or 'max'"
    assert name_of(list[int]) == "list[int]"
