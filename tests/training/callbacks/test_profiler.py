import json
from dataclasses import replace
from pathlib import Path

import pytest

from runner.config.options import DebugOptions
from runner.training.callbacks.profiler import TRACE
from tests.training.harness import tiny_options, train


def profiled(path: Path, steps: int) -> Path:
    options = replace(
        tiny_options(max_epochs=None, max_steps=steps), debug=DebugOptions(profile=True)
    )
    train(path, options)
    return path / "plots" / TRACE


def test_a_trace_of_ten_steps_is_written(tmp_path: Path) -> None:
    trace = json.loads(profiled(tmp_path, 24).read_text())
    names = [event.get("name", "") for event in trace["traceEvents"]]
    assert sum(name == "ProfilerStep#12" for name in names) > 0
    assert sum(name.startswith("ProfilerStep#") for name in names) == 10
    assert any("addmm" in name for name in names)


def test_a_run_that_is_too_short_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not profiled(tmp_path, 5).exists()
    assert "no profile was written" in capsys.readouterr().err
