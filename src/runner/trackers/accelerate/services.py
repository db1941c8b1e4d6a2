"""What each of accelerate's trackers is called, needs, and goes on with after a resume."""

import hashlib
from collections.abc import Mapping
from typing import Any

from runner.config.checks import one_of, refuse
from runner.trackers.packages import require
from runner.trackers.tracker import TrackedRun

PACKAGES = {  # name -> module, what to install
    "tensorboard": ("tensorboard", "tensorboard"),
    "wandb": ("wandb", "wandb"),
    "comet_ml": ("comet_ml", "comet-ml"),
    "aim": ("aim", "aim"),
    "mlflow": ("mlflow", "mlflow"),
    "clearml": ("clearml", "clearml"),
    "dvclive": ("dvclive", "dvclive"),
    "swanlab": ("swanlab", "swanlab"),
    "trackio": ("trackio", "trackio"),
}


def check_service(name: str) -> None:
    """Raise ConfigError if accelerate has no tracker `name`, or a package for it is missing."""
    refuse(one_of("trackers.accelerate.log_with", name, tuple(PACKAGES)))
    require("accelerate", needed_by="AccelerateTracker", install="'runner[accelerate]'")
    package, install = PACKAGES[name]
    require(package, needed_by=f"AccelerateTracker with log_with={name}", install=install)


def arguments_of(name: str, run: TrackedRun, project: str, logging_dir: str) -> dict[str, Any]:
    """Return with what the tracker `name` is made for `run`, whether it begins or goes on.

    Services to which one may bring a name of one's own for a run get the id of the run.
    """
    id, title = run.tags.get("runner.id", run.directory.path.name), run.directory.path.name
    first = "experiment_name" if name == "mlflow" else "run_name"
    arguments: dict[str, dict[str, Any]] = {
        "tensorboard": {first: title, "logging_dir": logging_dir},
        "wandb": {"id": id, "resume": "allow", "name": title},
        "trackio": {"name": title, "resume": "allow"},
        "comet_ml": {"experiment_key": hashlib.sha256(id.encode()).hexdigest()[:40]},
        "aim": {"logging_dir": logging_dir, "experiment": project},
        "mlflow": {"run_name": title},
        "clearml": {"task_name": title},
        "dvclive": {"dir": f"{logging_dir}/{title}", "resume": True},
        "swanlab": {"experiment_name": title},
    }
    return {first: project, **arguments[name]}


def learnt_arguments(name: str, tracker: Any) -> Mapping[str, Any]:
    """Return with what else a started tracker is made again, where the service names its runs."""
    if name == "mlflow":
        return {"run_id": tracker.active_run.info.run_id}
    if name == "aim":
        return {"run_hash": tracker.writer.hash}
    if name == "clearml":
        return {"continue_last_task": tracker.task.id}
    return {}
