from typing import Any

import pytest

from runner.config.options import (
    CheckpointOptions,
    DebugOptions,
    HardwareOptions,
    LoaderOptions,
    Options,
    PrecisionOptions,
    TrainerOptions,
)
from runner.errors import ConfigError


def test_the_defaults_are_valid() -> None:
    assert Options().trainer.log_every_steps == 50


def test_a_refused_value_says_what_to_do() -> None:
    with pytest.raises(ConfigError) as error:
        CheckpointOptions(keep_last=0)
    assert str(error.value) == (
        "checkpoint.keep_last must be >= 1, got 0 (to keep none: checkpoint=off)"
    )


@pytest.mark.parametrize(
    ("kind", "values", "key"),
    [
        (LoaderOptions, {"batch_size": 0}, "data.batch_size"),
        (LoaderOptions, {"evaluation_batch_size": 0}, "data.evaluation_batch_size"),
        (LoaderOptions, {"num_workers": -1}, "data.num_workers"),
        (TrainerOptions, {"max_epochs": 0}, "trainer.max_epochs"),
        (TrainerOptions, {"max_duration": "2 epochs"}, "trainer.max_duration"),
        (TrainerOptions, {"evaluate_every": "5 minutes"}, "trainer.evaluate_every"),
        (TrainerOptions, {"max_grad_norm": 0.0}, "trainer.max_grad_norm"),
        (TrainerOptions, {"schedule_every": "batch"}, "trainer.schedule_every"),
        (TrainerOptions, {"best_metric": "cer"}, "trainer.best_metric"),
        (TrainerOptions, {"best_mode": "mim"}, "trainer.best_mode"),
        (TrainerOptions, {"patience": 0}, "trainer.patience"),
        (CheckpointOptions, {"every": "5 parsecs"}, "checkpoint.every"),
        (HardwareOptions, {"device": "gpu"}, "hardware.device"),
        (HardwareOptions, {"threads": 0}, "hardware.threads"),
        (PrecisionOptions, {"autocast": "fp8"}, "precision.autocast"),
        (DebugOptions, {"overfit_batches": -1}, "debug.overfit_batches"),
    ],
)
def test_each_bad_value_is_refused_by_its_key(kind: Any, values: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=f"^{key}"):
        kind(**values)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        TrainerOptions(max_epochs=0, best_mode="best", patience=0)
    assert len(error.value.problems) == 3
