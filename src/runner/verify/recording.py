"""What a run under verification writes down: one line a step, with a digest of everything.

The task is built inside a `RecordedTask`, which sees every training batch and its loss. Two
callbacks, one before and one behind the user's own, see the weights as the update left them and as
the callbacks left them.
"""

import hashlib
import json
import time
from collections import deque
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from runner.checkpoint.manifest import committed_steps
from runner.config.targets import locate
from runner.data.data import Batch
from runner.metrics.metric import Metric
from runner.runtime.launch import launch_of
from runner.runtime.seeds import random_state
from runner.tasks.task import TRAINING_METHODS, Predictions, StepOutput, Task
from runner.training.callback import Callback, Fit

UNSAVED = " (not in state_dict)"


class RecordedTask:
    """The task `inner`, which remembers the batches of the running step; else it is `inner`."""

    def __init__(self, inner: Task) -> None:
        self._inner = inner
        self._prepared: deque[str] = deque()
        self._seen: list[dict[str, str]] = []
        self.updated: dict[str, str] = {}  # digests of the weights, as the update left them

    @property  # isinstance sees the task itself
    def __class__(self) -> type:  # type: ignore[override]
        return type(self._inner)

    def __getattr__(self, name: str) -> Any:
        inner = getattr(self._inner, name)  # or there is none
        return getattr(self, f"_{name}") if name in TRAINING_METHODS else inner

    def prepare(self, batch: Any) -> Batch:
        prepared = self._inner.prepare(batch)
        self._prepared.append(digest(prepared))
        return prepared

    def _training_step(self, model: nn.Module, batch: Batch) -> StepOutput:
        seen = self._see(batch)
        output = self._inner.training_step(model, batch)  # type: ignore[attr-defined]
        seen["loss"] = _exact(output.loss)
        return output

    def _alternating_step(self, model: Any, batch: Batch, update: Any) -> StepOutput:
        seen = self._see(batch)
        output = self._inner.alternating_step(model, batch, update)  # type: ignore[attr-defined]
        seen["loss"] = _exact(output.loss)
        return output

    def _training_epoch(self, model: nn.Module, batches: Iterator[Batch], update: Any) -> Any:
        def seen() -> Iterator[Batch]:
            for batch in batches:
                self._see(batch)
                yield batch

        def recorded(name: str, loss: Tensor, *more: Any) -> Tensor:
            self._seen[-1]["loss"] = _exact(loss)  # of the last update on a batch
            return update[name](loss, *more)

        updates = {name: partial(recorded, name) for name in update}
        return self._inner.training_epoch(model, seen(), updates)  # type: ignore[attr-defined]

    def evaluation_step(
        self, model: nn.Module, batch: Batch, metrics: Mapping[str, Metric]
    ) -> Predictions:
        self._prepared.clear()
        return self._inner.evaluation_step(model, batch, metrics)

    def _see(self, batch: Batch) -> dict[str, str]:
        samples = self._prepared.popleft() if self._prepared else ""
        self._seen.append({"samples": samples, "batch": digest(batch)})
        return self._seen[-1]

    def take_seen(self) -> list[dict[str, str]]:
        """Return what was seen since the last call: samples, batch and loss of each micro-batch."""
        seen, self._seen = self._seen, []
        self._prepared.clear()
        return seen


def _exact(loss: Tensor) -> str:
    return float(loss.detach()).hex()


def recorded(recorded_target: str, **arguments: Any) -> RecordedTask:
    """Build the task that `recorded_target` names, under observation."""
    return RecordedTask(locate(recorded_target)(**arguments))


class RecordUpdate(Callback):
    """Stands before the user's callbacks and sees what the update made of the weights."""

    def on_step_end(self, fit: Fit) -> None:
        fit.task.updated = weights_of(fit.model)  # type: ignore[attr-defined]


class RecordSteps(Callback):
    """Stands behind the user's callbacks and writes the lines.

    After `kill_after`, once the checkpoint of `checkpoint_step` is committed, the first job says
    so and waits to be killed.
    """

    def __init__(
        self, folder: str, kill_after: int | None = None, checkpoint_step: int = 0
    ) -> None:
        launch = launch_of()
        self._path = Path(folder) / f"rank_{launch.rank if launch else 0}.jsonl"
        self._kill_after = None if self._path.exists() else kill_after
        self._checkpoint_step = checkpoint_step

    def on_fit_start(self, fit: Fit) -> None:
        names = [name for name, _ in fit.model.named_parameters()]
        self._write("start", fit, parameters=names)

    def on_step_end(self, fit: Fit) -> None:
        task = fit.task
        self._write("step", fit, batches=task.take_seen(), updated=task.updated)  # type: ignore[attr-defined]
        if fit.progress.step == self._kill_after:
            while self._checkpoint_step not in committed_steps(fit.directory.checkpoints):
                time.sleep(0.01)
            self._append({"kind": "kill", "step": fit.progress.step})
            while True:  # the end comes from outside
                time.sleep(1.0)

    def _write(self, kind: str, fit: Fit, **more: Any) -> None:
        line = {"kind": kind, "step": fit.progress.step, **more}
        generators = {name: digest(state) for name, state in random_state().items()}
        self._append({**line, "weights": weights_of(fit.model), "generators": generators})

    def _append(self, line: Mapping[str, Any]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def weights_of(model: nn.Module) -> dict[str, str]:
    """Return a digest of each parameter and buffer; buffers that are not saved are marked."""
    saved = model.state_dict()
    digests = {name: digest(tensor) for name, tensor in saved.items()}
    for name, buffer in model.named_buffers():
        if name not in saved:
            digests[name + UNSAVED] = digest(buffer)
    return digests


def digest(value: Any) -> str:
    """Return a short digest of nested plain values, arrays and tensors; of others their type."""
    mixer = hashlib.blake2b(digest_size=8)
    _feed(mixer, value)
    return mixer.hexdigest()


def _feed(mixer: Any, value: Any) -> None:
    if isinstance(value, Tensor):
        local = getattr(value, "to_local", lambda: value)()
        plain = local.detach().contiguous().cpu().flatten()
        mixer.update(f"tensor {value.dtype} {tuple(value.shape)} ".encode())
        mixer.update(plain.view(torch.uint8).numpy())
    elif isinstance(value, np.ndarray):
        mixer.update(f"array {value.dtype} {value.shape} ".encode() + value.tobytes())
    elif isinstance(value, Mapping):
        mixer.update(b"{")
        for key, item in value.items():
            _feed(mixer, key)
            _feed(mixer, item)
        mixer.update(b"}")
    elif isinstance(value, list | tuple):
        mixer.update(b"[")
        for item in value:
            _feed(mixer, item)
        mixer.update(b"]")
    elif isinstance(value, str | bytes | bool | int | float | complex | np.generic | None):
        mixer.update(f"{type(value).__name__} {value!r} ".encode())
    else:  # its text might hold an address
        mixer.update(f"{type(value).__qualname__} ".encode())
