"""Batches to try a trained model on: of its own data, or where those are gone made-up pictures."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image

from runner.config.instantiate import instantiate
from runner.config.run_config import RunConfig
from runner.data.collate import collate_of
from runner.data.data import Batch, Data
from runner.data.loader import evaluation_loader
from runner.errors import RunError, RunnerError
from runner.runtime.seeds import seed_everything
from runner.tasks.task import Task

_MAX_SAMPLES = 512
_GENERATED = 16


@dataclass(frozen=True)
class Examples:
    """Prepared batches on the CPU, and where they come from, in words."""

    batches: list[Batch]
    source: str


def example_batches(config: RunConfig, task: Task) -> Examples:
    """Return some batches as `task` is given them: of the test split, else evaluation, else train.

    Without the data there are generated pictures, for a run that reads pictures. RunError if there
    is neither.
    """
    seed_everything(config.seed)
    try:
        data = instantiate(config.data, "data")
    except (RunnerError, OSError) as error:
        if not isinstance(config.data.get("preprocessor"), dict):
            raise RunError(f"there is no input to try it on: {error}") from error
        return _generated(config, task)
    names = sorted(data.splits(), key=_preference)
    return Examples(_read(data, names[0], config, task), f"of {names[0]}")


def _preference(name: str) -> int:
    return ("test", "evaluation", "train").index(name.partition(".")[0])


def _read(data: Data, name: str, config: RunConfig, task: Task) -> list[Batch]:
    loader = evaluation_loader(
        data.splits()[name],
        replace(config.options.loader, num_workers=0),
        seed=config.seed,
        collate=collate_of(data, name),
        pin_memory=False,
    )
    batches: list[Batch] = []
    num_samples, epoch = 0, loader.epoch(0)
    try:
        while not epoch.is_over and num_samples < _MAX_SAMPLES:
            (taken,) = epoch.take(1)
            batches.append(task.prepare(taken.content))
            num_samples += taken.num_samples
        epoch.end()
    finally:
        loader.close()
    return batches


def _generated(config: RunConfig, task: Task) -> Examples:
    preprocessor: Any = instantiate(config.data["preprocessor"], "data.preprocessor")
    generator = torch.Generator().manual_seed(config.seed)
    pictures = []
    for _ in range(_GENERATED):
        coarse = torch.randint(0, 256, (8, 24), generator=generator, dtype=torch.uint8)
        picture = Image.fromarray(coarse.numpy()).resize((240, 80), Image.Resampling.BICUBIC)
        pictures.append(preprocessor(picture))
    batch = task.prepare({"image": torch.stack(pictures)})
    return Examples([batch], "generated, its data are not here")
