"""Small runs on a Slurm cluster, paced so that something can happen to them, and undisturbed."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cloudpickle
from submitit import SlurmExecutor

from runner.config.compose import compose
from runner.config.validate import validate
from runner.job.ordered import OrderedJob
from runner.run.directory import RunDirectory
from runner.run.status import Status, read_raw_status
from runner.sweeps.slurm.aftermath import teardown_lines
from runner.sweeps.slurm.work import SlurmWork
from runner.training.callback import Callback, Fit
from tests.slurm.cluster import SlurmCluster, wait_until

STEPS, SAVE_EVERY = 40, 10
TRAINING = (
    *("trackers=none", "callbacks=none", "hardware=cpu", "hardware.threads=1"),
    *("model.dropout=0.1", "trainer.log_every_steps=5", "trainer.evaluate_every=15 steps"),
    *(f"trainer.max_steps={STEPS}", f"checkpoint.every={SAVE_EVERY} steps"),
)
PACE = "+callbacks.pace._target_=tests.slurm.runs.Pace"
ROOT = str(Path(__file__).parents[2])


class Pace(Callback):
    """Takes its time for each step; at the step `at` does `mischief`, in the first `starts`."""

    def __init__(
        self,
        seconds: float = 0.1,
        mischief: str | None = None,
        at: int = 17,
        starts: int = 1,
        rank: int = 0,
    ) -> None:
        self._seconds = seconds
        self._mischief = mischief
        self._at = at
        self._starts = starts
        self._rank = rank

    def on_step_end(self, fit: Fit) -> None:
        time.sleep(self._seconds)
        is_its_turn = fit.ranks.rank == self._rank and fit.progress.step == self._at
        if is_its_turn and int(os.environ.get("SLURM_RESTART_COUNT", 0)) < self._starts:
            self._misbehave()

    def _misbehave(self) -> None:
        match self._mischief:
            case "raise":
                raise ValueError("no luck")
            case "fault":
                raise RuntimeError("CUDA error: uncorrectable ECC error encountered")
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "ponder":  # deaf to signals for as long as it takes
                signal.pthread_sigmask(signal.SIG_SETMASK, ())
                subprocess.run(["true"], check=True)
                _sleep_in_c(600)


def _sleep_in_c(seconds: int) -> None:
    """Sleep as a long kernel does: Python sees no signal until it is over."""
    import ctypes

    left = seconds
    while left := ctypes.CDLL(None).sleep(left):
        continue


@dataclass
class RunOnCluster:
    """One run, and the job of the cluster that does it."""

    cluster: SlurmCluster
    path: Path
    id: str = ""

    @property
    def directory(self) -> RunDirectory:
        return RunDirectory(self.path)

    @property
    def status(self) -> Status:
        status = read_raw_status(self.directory.status)
        assert status is not None, self.words
        return status

    @property
    def slurm_state(self) -> str:
        return self.cluster.squeue()[self.id]

    @property
    def restarts(self) -> int:
        return int(self.cluster.job(self.id)["Restarts"])

    @property
    def words(self) -> str:
        """All that was printed: by the run, by its ranks, and by submitit."""
        files = [*self.directory.logs.glob("*"), *self.folder.glob(f"{self.id}_*log.out")]
        return "\n".join(f"== {file.name}\n{file.read_text()}" for file in files)

    @property
    def from_steps(self) -> list[int | None]:
        jobs = json.loads(self.directory.provenance.read_text())["jobs"]
        return [job["from_step"] for job in jobs]

    @property
    def folder(self) -> Path:
        return self.path.parent / "slurm"

    def submit(self, *overrides: str, retries: int = 5, **parameters: object) -> "RunOnCluster":
        frozen = validate(compose([*TRAINING, PACE, *overrides])).frozen
        order = OrderedJob(config=frozen, path=self.path, overrides=overrides, command=())
        work = SlurmWork(
            work=cloudpickle.dumps(order),
            path=(ROOT, *sys.path),
            log=self.directory.console,
            run=self.path,
            retries=retries,
        )
        executor = SlurmExecutor(self.folder, max_num_timeout=1_000_000)
        given = {
            "time": 5,
            "cpus_per_task": 1,
            "mem": "500MB",
            "stderr_to_stdout": True,
            "signal_delay_s": 30,
            "srun_args": ["--kill-on-bad-exit=1", "--cpus-per-task=1"],
            "teardown": teardown_lines(executor.python, executor.folder),
            "additional_parameters": {"requeue": True},
        }
        executor.update_parameters(**{**given, **parameters})
        self.id = executor.submit(work).job_id
        return self

    def wait_for_checkpoint(self, step: int = SAVE_EVERY, seconds: float = 60) -> None:
        manifest = self.directory.checkpoints / f"step_{step:08d}" / "manifest.json"
        self.wait_until(manifest.exists, seconds=seconds)

    def wait_for(self, *states: str, seconds: float = 90) -> None:
        self.wait_until(lambda: self.slurm_state in states, seconds=seconds)

    def wait_until(self, is_true: object, *, seconds: float) -> None:
        try:
            wait_until(is_true, seconds=seconds)  # type: ignore[arg-type]
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.slurm_state}\n{self.words}") from error


def rows(directory: RunDirectory) -> list[dict[str, object]]:
    """Return the rows of the journal without what depends on the clock."""
    lines = [json.loads(line) for line in directory.journal.read_text().splitlines()]
    return [
        {key: value for key, value in row.items() if key != "time"}
        for row in lines
        if row["split"] != "speed"
    ]


def newest_weights(directory: RunDirectory) -> bytes:
    return max(directory.checkpoints.glob("step_*/model.safetensors")).read_bytes()


def undisturbed(path: Path, *overrides: str) -> RunDirectory:
    """Do the run here, with nothing that could happen to it."""
    frozen = validate(compose([*TRAINING, *overrides])).frozen
    assert OrderedJob(config=frozen, path=path, overrides=overrides, command=())() == 0
    return RunDirectory(path)


def assert_same_end(run: RunOnCluster, straight: RunDirectory) -> None:
    """Assert that the run is completed, with the same bits as the undisturbed one."""
    assert run.status.state == "completed", run.words
    assert rows(run.directory) == rows(straight), run.words
    assert newest_weights(run.directory) == newest_weights(straight)
