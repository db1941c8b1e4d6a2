"""One job of a Hydra application in a process of its own.

It takes along what Hydra knows here, and leaves what it returned in a file.
"""

import pickle
import signal
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from runner.cli.jobs import Jobs
from runner.errors import RunError
from runner.run.secrets import print_traceback
from runner.runtime.launch import launch_of
from runner.sweeps.pool import Ended


def pickled_hydra(context: HydraContext, function: TaskFunction) -> bytes:
    """Return what all jobs take along, for `LaunchedJob.hydra`."""
    import cloudpickle

    return cloudpickle.dumps((Singleton.get_state(), context, function))


@dataclass(frozen=True, kw_only=True)
class LaunchedJob:
    """A job with its config; it knows where it leaves what it returned."""

    hydra: bytes = field(repr=False)  # see `pickled_hydra`
    config: DictConfig
    log: Path
    result: Path

    @property
    def overrides(self) -> list[str]:
        return list(self.config.hydra.overrides.task)

    def __call__(self) -> int:
        state, context, function = pickle.loads(self.hydra)
        Singleton.set_state(state)
        returned = run_job(
            hydra_context=context,
            task_function=function,
            config=self.config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        error = returned._return_value if returned.status == JobStatus.FAILED else None
        if error is not None:
            error.add_note(f"its traceback is in {self.log}")
            if not isinstance(getattr(function, "__self__", None), Jobs):  # else it has told
                print_traceback(error)
        launch = launch_of()
        if launch is None or launch.rank == 0:
            self.result.write_bytes(_pickled(returned))
        return 0 if error is None else getattr(error, "exit_code", 1)

    def returned(self, ended: Ended) -> JobReturn:
        """Return what the job has left; of one that died, that it failed and how it died."""
        try:
            return pickle.loads(self.result.read_bytes())
        except Exception:  # there is none, or half of one
            error = RunError(f"the job {_how(ended)}; what it wrote is in {self.log}")
        task = OmegaConf.masked_copy(self.config, [k for k in self.config if k != "hydra"])  # type: ignore[arg-type]
        hydra = OmegaConf.masked_copy(self.config, ["hydra"])
        returned = JobReturn(overrides=self.overrides, cfg=task, hydra_cfg=hydra)
        returned.status = JobStatus.FAILED
        returned.return_value = error
        return returned


def _pickled(returned: JobReturn) -> bytes:
    """Pickle what a job returned; what cannot come back is replaced by the words for it."""
    import cloudpickle

    try:
        content = cloudpickle.dumps(returned)
        pickle.loads(content)
    except Exception as error:
        value = returned._return_value
        if isinstance(value, Exception):
            words = "".join(traceback.format_exception_only(value)).strip()
        else:
            words = f"what it returned, a {type(value).__name__}, cannot be pickled: {error}"
        returned.status = JobStatus.FAILED
        returned.return_value = RunError(words)
        content = cloudpickle.dumps(returned)
    return content


def _how(ended: Ended) -> str:
    if ended.exceeded == "time":
        return "used up its hydra.launcher.time_limit and was stopped"
    if ended.signal is not None:
        return f"was killed by signal {ended.signal} ({signal.Signals(ended.signal).name})"
    return f"ended with exit code {ended.exit_code} before it returned"
