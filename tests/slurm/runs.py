"""Small runs on a Slurm cluster, paced so that something can happen to them, and undisturbed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
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
SAVED, MISCHIEF_AT = 15, 17  # it saves what evaluates best, too
TRAINING = (
    *("trackers=none", "callbacks=none", "hardware=cpu", "hardware.threads=1"),
    *("model.dropout=0.1", "trainer.log_every_steps=5", "trainer.evaluate_every=15 steps"),
    *(f"trainer.max_steps={STEPS}", f"checkpoint.every={SAVE_EVERY} steps"),
)
PACE = "+callbacks.pace._target_=tests.slurm.runs.Pace"
ROOT = str(Path(__file__).parents[2])


class Pace(Callback):
    """In the first `starts` of a job, does `mischief` at the step `at`, and then takes its time.

    By itself it waits at that step until the test has let happen what it has to.
    """

    def __init__(
        self,
        mischief: str = "wait",
        at: int = MISCHIEF_AT,
        seconds: float = 0.3,
        starts: int = 1,
        rank: int = 0,
    ) -> None:
        self._mischief = mischief
        self._at = at
        self._seconds = seconds
        self._starts = starts
        self._rank = rank

    def on_step_end(self, fit: Fit) -> None:
        step = fit.progress.step
        if step < self._at or int(os.environ.get("SLURM_RESTART_COUNT", 0)) >= self._starts:
            return
        if step > self._at:
            time.sleep(self._seconds)
        elif fit.ranks.rank == self._rank and self._mischief == "wait":
            _wait_in(fit.directory)
        elif fit.ranks.rank == self._rank:
            if step > SAVED:
                _wait_for_save(fit.directory)
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


def _wait_in(directory: RunDirectory) -> None:
    end = time.monotonic() + 100
    _sign(directory, "waiting").touch()
    while not _sign(directory, "struck").exists():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


def _wait_for_save(directory: RunDirectory) -> None:
    """Wait for the last save before the mischief, which is written in the background."""
    while not (directory.checkpoints / f"step_{SAVED:08d}" / "manifest.json").exists():
        time.sleep(0.02)


def _sign(directory: RunDirectory, name: str) -> Path:
    return directory.path.parent / name


def _sleep_in_c(seconds: int) -> None:
    """Sleep as a long kernel does: Python sees no signal until it is over."""
    import ctypes

    left = seconds
    while left := ctypes.CDLL(None).sleep(left):
        continue


@dataclass(eq=False)
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
        executor = _executor(self.folder, parameters)
        self.id = executor.submit(self.work(*overrides, retries=retries)).job_id
        return self

    def work(self, *overrides: str, retries: int = 5) -> SlurmWork:
        frozen = validate(compose([*TRAINING, PACE, *overrides])).frozen
        order = OrderedJob(config=frozen, path=self.path, overrides=overrides, command=())
        return SlurmWork(
            work=cloudpickle.dumps(order),
            path=(ROOT, *sys.path),
            log=self.directory.console,
            run=self.path,
            retries=retries,
        )

    @property
    def is_waiting(self) -> bool:
        """Return whether the run has come to the step in which something is to happen."""
        return _sign(self.directory, "waiting").exists()

    def strike(self, *command: str) -> None:
        """Let happen what a command of Slurm's does, when the run has come so far."""
        self.wait_until(lambda: self.is_waiting, seconds=90)
        self.cluster.call(*command)
        self.go_on()

    def go_on(self) -> None:
        _sign(self.directory, "struck").touch()

    def wait_for(self, *states: str, seconds: float = 90) -> None:
        self.wait_until(lambda: self.slurm_state in states, seconds=seconds)

    def wait_until(self, is_true: Callable[[], bool], *, seconds: float) -> None:
        try:
            wait_until(is_true, seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.slurm_state}\n{self.words}") from error


def submit_array(folder: Path, works: Mapping[RunOnCluster, SlurmWork]) -> None:
    """Submit the works of several runs as one array."""
    jobs = _executor(folder, {}).submit_array(list(works.values()))
    for run, job in zip(works, jobs, strict=True):
        run.id = job.job_id


def _executor(folder: Path, parameters: Mapping[str, object]) -> SlurmExecutor:
    executor = SlurmExecutor(folder, max_num_timeout=1_000_000)
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
    return executor


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
