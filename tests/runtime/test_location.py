"""The line of a user's code that an exception, or a death, comes from."""

import faulthandler
from pathlib import Path

import pytest
import torch

from runner.runtime.location import died_at, raised_at

HERE = "tests/runtime/test_location.py"


def fail_in_torch() -> None:
    torch.nn.Linear(3, 2)(torch.zeros(1, 4))


def line_in(function: object, offset: int) -> str:
    return f"{HERE}:{function.__code__.co_firstlineno + offset}"  # type: ignore[attr-defined]


def test_an_exception_of_torch_comes_from_what_called_torch() -> None:
    with pytest.raises(RuntimeError) as caught:
        fail_in_torch()
    assert raised_at(caught.value) == line_in(fail_in_torch, 1)


def test_an_exception_of_the_standard_library_too() -> None:
    with pytest.raises(FileNotFoundError) as caught:
        Path("/nowhere/at/all").read_text()
    assert (raised_at(caught.value) or "").startswith(HERE)


def test_an_exception_that_was_never_raised_has_no_line() -> None:
    assert raised_at(ValueError()) is None


def dump(path: Path) -> None:
    with path.open("w") as file:
        file.write("some output\n\n")
        file.flush()
        faulthandler.dump_traceback(file, all_threads=False)


def test_a_stack_that_faulthandler_wrote_is_read(tmp_path: Path) -> None:
    dump(tmp_path / "log")
    text = (tmp_path / "log").read_text()
    assert died_at(text) == line_in(dump, 4)
    assert died_at("nothing of that kind\n") is None
    assert died_at('(most recent call first):\n  File "/torn') is None
