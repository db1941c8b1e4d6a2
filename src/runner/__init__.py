"""Run PyTorch experiments composed from Hydra configs, anywhere, without losing anything.

from runner import Trainer, Run, load_reader
"""

import importlib
from typing import Any

__version__ = "0.1.0"

# Imported at first use: `--help` must not wait for torch.
_LAZY = {
    "Callback": "runner.training.callback",
    "CheckpointOptions": "runner.config.options",
    "Curriculum": "runner.data.curriculum",
    "Data": "runner.data.data",
    "DebugOptions": "runner.config.options",
    "HardwareOptions": "runner.config.options",
    "LoaderOptions": "runner.config.options",
    "Options": "runner.config.options",
    "PrecisionOptions": "runner.config.options",
    "ParameterOptions": "runner.config.options",
    "Run": "runner.facade.run",
    "StepOutput": "runner.tasks.task",
    "Supervised": "runner.tasks.supervised",
    "Trainer": "runner.facade.trainer",
    "TrainerOptions": "runner.config.options",
    "load_reader": "runner.build.trained.inference",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'runner' has no attribute '{name}'")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(["__version__", *_LAZY])
