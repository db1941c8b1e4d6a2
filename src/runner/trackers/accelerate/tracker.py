"""`AccelerateTracker`: mirrors a run to one of accelerate's trackers, from a process of its own.

Packages of such services may take seconds to import, change torch, draw random numbers, hang: in
the training process each of these could slow, change or stop training.
"""

import logging
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.trackers.accelerate.services import check_service
from runner.trackers.accelerate.sink import Delivery
from runner.trackers.delivery.child import DeliveryChild, seconds_at_end
from runner.trackers.delivery.lock import DeliveryLock
from runner.trackers.delivery.messages import Ending
from runner.trackers.delivery.process import start_process
from runner.trackers.tracker import Synced, TrackedRun

_OF_RANKS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_ENVIRONMENT = {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}

_log = logging.getLogger(__name__)


class AccelerateTracker:
    """Shows a run where accelerate's tracker `log_with` does: wandb, comet_ml, tensorboard ...

    `project` is what the service groups runs by (None: the name of the run). `init_kwargs` go to
    the service as they are, and win over what runner gives: the name of the run, and what makes a
    resumed run go on. `logging_dir` is for services that write files (None: in the run directory).
    """

    def __init__(
        self,
        *,
        log_with: str,
        project: str | None = None,
        init_kwargs: Mapping[str, Any] | None = None,
        logging_dir: str | None = None,
        finish_timeout_seconds: float = 60.0,
    ) -> None:
        check_service(log_with)
        self._log_with = log_with
        self._project = project
        self._init_kwargs = dict(init_kwargs or {})
        self._logging_dir = None if logging_dir is None else str(Path(logging_dir).absolute())
        self._finish_timeout_seconds = finish_timeout_seconds
        self._delivery: Delivery | None = None
        self._problem = ""
        self._child = DeliveryChild(self._launch, self._note)

    def start(self, run: TrackedRun) -> None:
        """Start the delivery process; takes milliseconds and never fails for a service's sake."""
        self._delivery = self._delivery_of(run)
        self._child.start()

    def finish(self, state: str, model_files: Sequence[Path] = ()) -> None:  # noqa: ARG002
        """Wait until all is delivered, at most `finish_timeout_seconds`, or 10 s if interrupted."""
        if self._delivery is None:
            return
        seconds = seconds_at_end(self._finish_timeout_seconds, state)
        if not self._child.finish(Ending(state=state, seconds=seconds)):
            _log.warning(
                "%s did not take all of this run within %g s; nothing is lost: metrics.jsonl has "
                "all, and a resume delivers what is missing (reasons: %s)",
                self._log_with,
                seconds,
                self._problem or _log_of(self._delivery),
            )

    def place(self, run: TrackedRun) -> str:
        """Return where it shows `run`: see LateTracker."""
        return f"{self._log_with}, project {self._project or run.name}"

    def sync(self, run: TrackedRun, state: str, model_files: Sequence[Path] = ()) -> Synced:  # noqa: ARG002
        """Deliver what a job left undone, of a run that is over: see LateTracker."""
        self._delivery = delivery = self._delivery_of(run)
        follower, place = delivery.follower(), self.place(run)
        there, lacking, has_all = follower.standing(state)
        if has_all:
            return Synced(place=place, there=there)
        lock = DeliveryLock(follower.mark_path)
        if state == "running" or not lock.try_acquire():
            return Synced(place=place, there=there, note="another process delivers it")
        lock.release()
        seconds = self._finish_timeout_seconds
        has_arrived = self._child.finish(Ending(state=state, seconds=seconds))
        left = delivery.follower().standing(state)[1]
        reasons = self._problem or _log_of(delivery)
        problem = f"{place}, took not all within {seconds:g} s (reasons: {reasons})"
        return Synced(
            place=place,
            there=there,
            new=lacking - left,
            has_told=has_arrived,
            problem="" if has_arrived else problem,
        )

    def _delivery_of(self, run: TrackedRun) -> Delivery:
        path = run.directory.path.absolute()
        return Delivery(
            directory=str(path),
            name=run.name,
            tracker=run.tracker,
            log_with=self._log_with,
            project=self._project or run.name,
            logging_dir=self._logging_dir or str(path / self._log_with),
            init_kwargs=self._init_kwargs,
            parameters=dict(run.parameters),
            tags=dict(run.tags),
        )

    def _launch(self) -> subprocess.Popen[str]:
        assert self._delivery is not None
        environment = {key: text for key, text in os.environ.items() if key not in _OF_RANKS}
        return start_process(
            f"{__package__}.run_process",
            self._delivery,
            _log_of(self._delivery),
            _ENVIRONMENT | environment,
        )

    def _note(self, error: Exception) -> None:
        self._problem = f"its process did not start: {error}"


def _log_of(delivery: Delivery) -> Path:
    return Path(delivery.directory) / "logs" / f"{delivery.tracker}.log"
