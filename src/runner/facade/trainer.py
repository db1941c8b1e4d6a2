"""`Trainer`: the same core from Python, without Hydra.

    from runner import Data, Options, Trainer, TrainerOptions

    trainer = Trainer(
        model=model,
        task=Classification(num_classes=10),
        data=Data(train=train_set, evaluation=evaluation_set),
        optimizer=partial(torch.optim.AdamW, lr=1e-3),
        options=Options(trainer=TrainerOptions(max_epochs=5)),
    )
    result = trainer.fit()

Directory, journal, checkpoints, progress and MLflow are those of a run from the command line.
"""

import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import nn

from runner.build.assemble import assemble
from runner.build.optimizers import GivenOptimizer, GivenScheduler
from runner.config.combinations import check_combinations
from runner.config.duration import parse_optional
from runner.config.options import Options
from runner.config.stamp import new_stamp
from runner.config.threads import available_threads, threads_of_run
from runner.data.data import Data
from runner.errors import ConfigError
from runner.job.fit import Job, fit
from runner.job.place import take_place, wants_ranks
from runner.run.directory import RunDirectory
from runner.run.session import JobDescription
from runner.runtime.launch import launch_of
from runner.runtime.ranks import Ranks
from runner.runtime.rendezvous import agreed
from runner.runtime.seeds import seed_everything
from runner.tasks.task import Task
from runner.trackers.mlflow.tracker import MLflowTracker
from runner.trackers.tracker import Tracker
from runner.training.callback import Callback
from runner.training.callbacks.defaults import default_callbacks
from runner.training.loop import Result
from runner.training.parts import Parts


class Trainer:
    """Trains one model in one run directory: journal, checkpoints, MLflow and progress included.

    `optimizer` is made from the model's parameters, or is one already; `scheduler` is made from the
    optimizer, and is given `total_steps` if it takes that argument. With a mapping of optimizers by
    name (see `AlternatingTask`) the model is an nn.ModuleDict, and there may be one scheduler for
    all or a mapping as well. `callbacks` and `trackers` replace the defaults (progress bar and
    pictures; MLflow).

    Without `directory` every `fit` starts a new run under `output_dir`, with the weights that
    `model` has then; `directory` tells the last one. With a directory that holds an unfinished run,
    `fit` continues it exactly; a finished one is trained further if `options` now go further, and
    else only gives its result. Other `options` than those of the run are refused by their keys;
    model, task, optimizer and scheduler cannot be compared: giving the same ones is up to you.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        task: Task,
        data: Data,
        optimizer: GivenOptimizer,
        scheduler: GivenScheduler = None,
        options: Options | None = None,
        callbacks: Mapping[str, Callback] | None = None,
        trackers: Mapping[str, Tracker] | None = None,
        directory: str | Path | None = None,
        name: str = "run",
        output_dir: str | Path = "outputs",
    ) -> None:
        self.model = model
        self.options = options or Options()
        self.directory = Path(directory) if directory else None
        self._runs = None if directory else Path(output_dir, name)  # a new run in it for every fit
        self._name = name
        self._pieces: dict[str, Any] = {
            "task": task,
            "data": data,
            "optimizer": optimizer,
            "scheduler": scheduler,
            "callbacks": default_callbacks() if callbacks is None else callbacks,
        }
        store = f"sqlite:///{Path(output_dir) / 'mlflow.db'}"
        self._trackers = (
            {"mlflow": MLflowTracker(tracking_uri=store, experiment=name)}
            if trackers is None
            else trackers
        )

    def fit(self) -> Result:
        """Train until a limit is reached; a test at the end leaves the best weights in `model`.

        Raises Interrupted, with everything saved, when a signal asked for a stop.
        """
        _check(self.options)
        if self._runs is not None:
            self.directory = self._runs / agreed(launch_of(), new_stamp)
        assert self.directory is not None
        directory = RunDirectory(self.directory)
        options = _with_threads(self.options, directory)
        place = take_place(options)
        seed_everything(options.seed)

        def build(ranks: Ranks) -> Parts:
            return assemble(
                model=self.model, options=options, device=place.device, ranks=ranks, **self._pieces
            )

        return fit(
            Job(
                directory=directory,
                description=JobDescription(
                    name=self._name,
                    config=_as_config(self._name, options),
                    overrides=[],
                    command=sys.argv,
                ),
                build=build,
                trackers=self._trackers if place.is_main else {},
                place=place,
                checkpoint_dir=options.checkpoint.dir,
                continue_completed=True,
                hang_timeout=parse_optional(options.trainer.hang_timeout),
            )
        )


def _check(options: Options) -> None:
    """Raise ConfigError for options that are impossible together, or ranks that nobody started."""
    if problems := check_combinations(options, scheduler=None):
        raise ConfigError(*problems)
    if wants_ranks(options):
        count = options.hardware.num_processes
        raise ConfigError(  # a script can only be started again
            f"hardware.num_processes={count}: start this script as so many ranks, with "
            f"torchrun --nproc-per-node {count} SCRIPT"
        )


def _with_threads(options: Options, directory: RunDirectory) -> Options:
    """Fix the number of threads, which changes the bits, as the command line does.

    Ranks of a script have a launcher, which has divided the machine among them already.
    """
    threads = options.hardware.threads or threads_of_run(directory.config) or available_threads()
    return replace(options, hardware=replace(options.hardware, threads=threads))


def _as_config(name: str, options: Options) -> dict[str, Any]:
    """Return what config.yaml says: the knobs under the names that a user types."""
    nodes = asdict(options)
    return {"name": name, "data": nodes.pop("loader"), **nodes}
