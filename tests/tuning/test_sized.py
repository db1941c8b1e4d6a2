"""Of a training with batches of another size all else that memory depends on stays."""

from dataclasses import replace

from runner.config.options import DebugOptions
from runner.tuning.sized import sized
from tests.training.harness import tiny_options


def test_only_what_a_trial_needs_is_changed() -> None:
    given = tiny_options(gradient_accumulation_steps=8, schedule_every="epoch")
    given = replace(
        given,
        loader=replace(given.loader, drop_last=True, num_workers=2),
        debug=DebugOptions(
            fast_dev_run=True, limit_batches=1, overfit_batches=1, detect_anomaly=True
        ),
    )
    tried = sized(given, 32)
    assert tried.loader == replace(given.loader, batch_size=32, drop_last=False, num_workers=0)
    assert tried.trainer.gradient_accumulation_steps == 2
    assert tried.trainer.on_out_of_memory == "stop"
    assert tried.debug == DebugOptions(detect_anomaly=True)
    assert sized(tiny_options(), 32).trainer.gradient_accumulation_steps == 1
