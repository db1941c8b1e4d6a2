"""`Trainer`: the same core from Python, without Hydra.

    from runner import Trainer

    trainer = Trainer(
        model=model,
        loss="cross_entropy",
        metrics=["accuracy"],
        data={"train": train_set, "evaluation": evaluation_set},
        optimizer={"name": "adamw", "lr": 3e-4},
        options={"trainer.max_epochs": 5, "data.batch_size": 32},
    )
    result = trainer.fit()
    print(result.score, result.history["train.loss"])

Directory, journal, checkpoints, progress and MLflow are those of a run from the command line.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from torch import nn

from runner.build.assemble import assemble
from runner.build.optimizers import GivenOptimizer, GivenScheduler
from runner.build.weights_from import WeightsFrom
from runner.config.duration import parse_optional
from runner.config.options import Options
from runner.config.stamp import new_stamp
from runner.data.data import Data
from runner.errors import ConfigError
from runner.facade import accelerator as accelerators
from runner.facade import datasets
from runner.facade.by_hand import Hand, Judge
from runner.facade.main_guard import leave_if_imported_by_a_child
from runner.facade.optimizers import read_optimizer, read_scheduler, start_of, with_cadence
from runner.facade.run import Run
from runner.facade.settings import (
    as_config,
    check_options,
    given_once,
    read_settings,
    with_threads,
)
from runner.facade.sized import SizedParts
from runner.facade.tasks import read_task
from runner.facade.watchers import read_callbacks, read_trackers
from runner.job.fit import Job, fit
from runner.job.place import Place, take_place
from runner.run.directory import RunDirectory
from runner.run.session import JobDescription
from runner.runtime.launch import launch_of
from runner.runtime.ranks import ALONE, Ranks
from runner.runtime.rendezvous import agreed
from runner.runtime.seeds import seed_everything
from runner.tasks.task import Predictions, Task
from runner.trackers.tracker import Tracker
from runner.training.callback import Callback
from runner.training.parts import Parts
from runner.training.result import Result
from runner.tuning.batch_size import BatchSizes, find_batch_size
from runner.tuning.learning_rate import LearningRates, find_learning_rate


class Trainer:
    """Trains one model, in one run directory: journal, checkpoints, trackers, progress included.

    `model`: any `torch.nn.Module`.
    `task`: what a batch means (`runner.tasks`). It may be left out with `loss`, a name such as
        "cross_entropy" or a function of (output, target), and `metrics`, names or objects; and for
        a model that computes its own loss, as those of Hugging Face do.
    `data`: `runner.Data`, a dataset, a DataLoader, or a mapping of those by split: "train",
        "evaluation", "test". It may be left out where nothing is trained.
    `optimizer`: a name, a mapping with `name` and arguments, what makes one of the parameters, or
        one that is made (None: AdamW with a learning rate of 1e-3). `scheduler`: a name, such a
        mapping, or what makes one of the optimizer; it is given `total_steps` if it asks for that.
    `options`: `runner.Options`, a mapping with the names of the command line
        ({"trainer.max_epochs": 5}), a YAML file of them, or an object with such attributes.
    `accelerator`: an `accelerate.Accelerator` whose device, ranks and mixed precision are taken
        over; the group of its processes is closed, since a run opens one of its own.
    `callbacks`: a list of `runner.Callback` and functions joins the defaults (progress bar and
        pictures), a mapping replaces them. `trackers`: names, objects, or a mapping of them
        (None: MLflow).

    Without `directory` every `fit` starts a new run under `output_dir`/`name`, with the weights
    that `model` has then, or those of `init_weights_from` (by hand they are loaded once, before the
    first step); `directory` tells the last one. With a directory that holds an unfinished run,
    `fit` continues it exactly; a finished one is trained further if `options` now go further, and
    else only gives its result. Other `options` than those of the run are refused by their keys;
    model, task, optimizer and scheduler cannot be compared: giving the same ones is up to you.

    Raises ConfigError with one sentence for each mistake in the arguments.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        task: Task | None = None,
        loss: str | Callable[..., Any] | None = None,
        metrics: Sequence[Any] | Mapping[str, Any] | None = None,
        data: Any = None,
        optimizer: str | Mapping[str, Any] | GivenOptimizer | None = None,
        scheduler: str | Mapping[str, Any] | GivenScheduler = None,
        options: Any = None,
        accelerator: Any = None,
        callbacks: Mapping[str, Callback] | Sequence[Any] | Callable[..., Any] | None = None,
        trackers: Mapping[str, Tracker] | Sequence[Any] | str | None = None,
        directory: str | Path | None = None,
        name: str = "run",
        output_dir: str | Path = "outputs",
    ) -> None:
        settings = read_settings(options)
        self.data, known = datasets.read_data(data, settings.options, settings.written)
        if accelerator is not None:
            known = accelerators.options_with(accelerator, known, settings.written)
            accelerators.leave_its_group()
        if isinstance(model, type):
            raise ConfigError(f"model: a class was given; make one: {model.__name__}(...)")
        self.model = model
        self.task: Task = read_task(task, loss=loss, metrics=metrics, model=model)
        self.directory = Path(directory) if directory else None
        self._runs = None if directory else Path(output_dir, name)  # a new run in it for every fit
        self._name = name
        self._optimizer = read_optimizer(given_once("optimizer", optimizer, settings.optimizer))
        self._put_optimizer_back = start_of(self._optimizer)
        scheduler = given_once("scheduler", scheduler, settings.scheduler)
        self._scheduler = read_scheduler(scheduler, best_mode=known.trainer.best_mode)
        self.options = with_cadence(known, scheduler, settings.written)
        self._callbacks = read_callbacks(callbacks)
        self._trackers = read_trackers(trackers, name=name, output_dir=Path(output_dir))
        self._hand: Hand | None = None
        self._has_first_weights = False  # loaded once: then there is training to lose

    def fit(self) -> Result:
        """Train until a limit is reached; a test at the end leaves the best weights in `model`.

        Raises Interrupted, with everything saved, when a signal asked for a stop.
        """
        leave_if_imported_by_a_child()
        check_options(self.options)
        if self._hand is not None:
            self._hand.close()
            self._hand = None
        if self._runs is not None:
            self.directory = self._runs / agreed(launch_of(), new_stamp)
        assert self.directory is not None
        directory = RunDirectory(self.directory)
        options = with_threads(self.options, directory)
        place = take_place(options)
        seed_everything(options.seed)
        self._put_optimizer_back()
        self._has_first_weights = True
        result = fit(
            Job(
                directory=directory,
                description=JobDescription(
                    name=self._name,
                    config=as_config(self._name, options),
                    overrides=[],
                    command=sys.argv,
                ),
                build=lambda ranks: self._build(
                    options, place, ranks, self._callbacks, self._scheduler
                ),
                trackers=self._trackers if place.is_main else {},
                place=place,
                checkpoint_dir=options.checkpoint.dir,
                continue_completed=True,
                hang_timeout=parse_optional(options.trainer.hang_timeout),
            )
        )
        return replace(result, history=Run(directory.path).history)

    def train_step(self, batch: Any) -> dict[str, float]:
        """Update `model` once on `batch`, as a loader gives it, outside of any run.

        Returns the loss and what else the task logs. The optimizer and its schedule are kept from
        call to call until the next `fit`, which begins with new ones; nothing is logged or saved.
        """
        return self._by_hand().train_step(batch)

    def train_epoch(self) -> dict[str, float]:
        """Train `model` on the next epoch of the data, outside of any run; return the means."""
        return self._by_hand().train_epoch()

    def evaluation_step(self, batch: Any) -> dict[str, float]:
        """Return the metrics of the task on `batch`, as a loader gives it."""
        return self._judge().measure_batch(batch)

    def evaluate(self, what: Any = "evaluation") -> dict[str, float]:
        """Return the metrics of `model` as it is, on a split or on other data.

        `what` is the name of a split ("evaluation", "test", "train"), a dataset or a DataLoader.
        Of a split of several datasets all are measured, their metrics called "NAME.loss". Nothing
        is logged, and no run is touched.
        """
        loaders = datasets.loaders_of(what, self.data, self.options, self._device())
        return self._judge().measure_all(loaders)

    def predict(self, what: Any) -> Predictions:
        """Return what `model` says of every sample of `what`, a split or data as in `evaluate`."""
        loaders = datasets.loaders_of(what, self.data, self.options, self._device())
        return self._judge().predict(*loaders.values())

    def load(self, path: str | Path, *, strict: bool = True) -> Self:
        """Give `model` the weights in `path`: a run, a checkpoint, a file, a name on the Hub.

        Not `strict`: those that fit. Neither optimizer nor schedule are taken: what continues a run
        exactly is `fit` with its `directory`. Raises ConfigError when they are not there or do not
        fit.
        """
        WeightsFrom(str(path), strict=strict).load(self.model, None)
        self._has_first_weights = True
        return self

    def find_lr(
        self, *, num_steps: int = 200, start: float = 1e-7, end: float = 10.0
    ) -> LearningRates:
        """Return the loss of real steps at rising learning rates; `suggestion` is a good one.

        Model and optimizer are afterwards what they were.
        """
        trainer = replace(self.options.trainer, schedule_every="step", ema_decay=None)
        parts = self._parts(replace(self.options, trainer=trainer), scheduler=None)
        return find_learning_rate(parts, num_steps=num_steps, start=start, end=end)

    def find_batch_size(
        self, *, largest: int = 1 << 16, memory_gib: float | None = None
    ) -> BatchSizes:
        """Return how real steps with ever larger batches went; `largest` is the most that fit.

        Each size is tried in a process of its own, to which the pieces are pickled; one that takes
        more than `memory_gib` is ended.
        """
        build = SizedParts(
            model=self.model,
            task=self.task,
            data=self._training_data(),
            optimizer=self._optimizer,
            options=self.options,
        )
        start = self.options.loader.batch_size
        return find_batch_size(build, start=start, largest=largest, memory_gib=memory_gib)

    def _build(
        self,
        options: Options,
        place: Place,
        ranks: Ranks,
        callbacks: Mapping[str, Callback],
        scheduler: GivenScheduler,
    ) -> Parts:
        return assemble(
            model=self.model,
            task=self.task,
            data=self._training_data(),
            optimizer=self._optimizer,
            scheduler=scheduler,
            callbacks=callbacks,
            options=options,
            device=place.device,
            ranks=ranks,
        )

    def _training_data(self) -> Data:
        if self.data is None:
            raise ConfigError("data: there is nothing to train on; give the trainer data=...")
        return self.data

    def _by_hand(self) -> Hand:
        if self._hand is None:
            launch = launch_of()
            if launch is not None:
                raise ConfigError(
                    f"a step by hand is for one process, and this is one of {launch.count}, whose "
                    "weights would go apart: use fit()"
                )
            self._put_optimizer_back()
            self._hand = Hand(self._parts(self.options, scheduler=self._scheduler))
        return self._hand

    def _parts(self, options: Options, *, scheduler: GivenScheduler) -> Parts:
        """Return the parts of a training outside of any run, by this process alone."""
        seed_everything(options.seed)
        parts = self._build(options, take_place(options), ALONE, {}, scheduler)
        if not self._has_first_weights:
            parts.first_weights.load(parts.model, parts.average.copy)
            self._has_first_weights = True
        return parts

    def _judge(self) -> Judge:
        return Judge(model=self.model, task=self.task, device=self._device(), options=self.options)

    def _device(self) -> Any:
        return take_place(self.options).device
