"""A training with batches of another size, as it is tried."""

from dataclasses import replace
from typing import TypeVar

from runner.config.options import Options
from runner.config.run_config import RunConfig

_Settings = TypeVar("_Settings", Options, RunConfig)


def sized(settings: _Settings, size: int) -> _Settings:
    """Return `settings` for trial steps with batches of `size` samples.

    Accumulation stops at two micro-batches: more of them take no more memory. A step that does not
    fit fails instead of being split, and nothing is cut from the data, of which a large batch needs
    much.
    """
    trainer = settings.trainer
    return replace(
        settings,
        loader=replace(settings.loader, batch_size=size, drop_last=False, num_workers=0),
        trainer=replace(
            trainer,
            on_out_of_memory="stop",
            schedule_every="step",
            gradient_accumulation_steps=min(2, trainer.gradient_accumulation_steps),
        ),
        debug=replace(settings.debug, fast_dev_run=False, limit_batches=0, overfit_batches=0),
    )
