from pathlib import Path

import pytest

from runner.build.from_config import build_parts
from runner.config.compose import compose
from runner.config.validate import validate
from runner.errors import ConfigError
from runner.runtime.device import prepare_hardware
from runner.training.callbacks.function import FunctionCallback
from tests.training.harness import tiny_options, train

HEARD: list = []


def report(fit, values, *, label="plain"):
    HEARD.append((label, fit.progress.epoch, sorted(values)[0]))


@pytest.fixture(autouse=True)
def nothing_was_heard():
    HEARD.clear()


def test_a_function_hears_of_every_epoch_and_takes_what_it_wants(tmp_path: Path) -> None:
    epochs = []
    train(
        tmp_path,
        tiny_options(),
        callbacks={
            "report": FunctionCallback(report),
            "short": FunctionCallback(lambda fit: epochs.append(fit.progress.epoch)),
            "all": FunctionCallback(lambda *args: epochs.append(len(args))),
        },
    )
    assert [("plain", epoch, "evaluation.accuracy") for epoch in (1, 2, 3)] == HEARD
    assert epochs == [1, 2, 2, 2, 3, 2]


def test_functions_hear_of_the_events_they_are_given_for(tmp_path: Path) -> None:
    heard = []
    callback = FunctionCallback(
        on_fit_start=lambda fit: heard.append("start"),
        on_evaluation_end=lambda fit, split: heard.append(split),
    )
    train(tmp_path, tiny_options(max_epochs=1), callbacks={"heard": callback})
    assert heard == ["start", "evaluation", "test"]


def test_a_config_names_a_function() -> None:
    node = f"{{_target_: {__name__}.report, _partial_: true, label: ours}}"
    target = "runner.training.callbacks.function.FunctionCallback"
    config = validate(
        compose(
            [
                "trackers=none",
                "callbacks=none",
                f"+callbacks.report={{_target_: {target}, on_epoch_end: {node}}}",
            ]
        )
    )
    parts = build_parts(config, prepare_hardware(config.hardware))

    class Fit:
        progress = type("Progress", (), {"epoch": 7})

    parts.callbacks["report"].on_epoch_end(Fit, {"a": 1.0})  # type: ignore[arg-type]
    assert HEARD == [("ours", 7, "a")]


def test_an_event_that_is_not_there_and_a_function_that_wants_more_are_told() -> None:
    with pytest.raises(ConfigError, match=r"on_epoch_ends is no event.*on_epoch_end"):
        FunctionCallback(on_epoch_ends=report)
    with pytest.raises(ConfigError, match=r"has 3 parameters, and on_epoch_end offers 2: fit, val"):
        FunctionCallback(lambda fit, values, more: None)
