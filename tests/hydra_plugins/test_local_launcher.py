import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from runner.errors import ConfigError, RunError
from runner.run.directory import RunDirectory
from runner.run.status import read_status
from tests.commands.command import BARE, SOURCES, call, start
from tests.sweeps.local.jobs import gone

LOCAL = ("-m", "hydra/sweeper=basic", "hydra/launcher=local", "hydra.launcher.slots=2")


class PickyError(Exception):
    """Cannot be unpickled: it wants two words, and keeps one."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first + second)


def task(cfg: DictConfig) -> Any:
    """Do what the job is told to."""
    print("in its log", cfg.do)  # noqa: T201
    match cfg.do:
        case "raise":
            raise ValueError("as it is")
        case "raise oddly":
            raise PickyError("as it", " was")
        case "return oddly":
            return threading.Lock()
        case "leave":
            sys.exit(7)
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "sleep":
            time.sleep(60)
        case "num":
            return HydraConfig.get().job.num
    return cfg.do


def launch(
    folder: Path, words: Sequence[str], *, first: int = 0, **options: Any
) -> list[JobReturn]:
    """Launch a job for each of `words` in an application that is not runner."""
    (folder / "conf").mkdir(exist_ok=True)
    (folder / "conf" / "config.yaml").write_text("do: nothing\n")
    overrides = [
        "hydra/launcher=local",
        f"hydra.sweep.dir={folder}/sweep",
        "hydra.launcher.slots=2",
    ]
    overrides += [f"hydra.launcher.{key}={value}" for key, value in options.items()]
    relative = os.path.relpath(folder / "conf", Path(__file__).parent)
    with initialize(config_path=relative, version_base=None, job_name="app"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        config = hydra.compose_config("config", overrides, run_mode=RunMode.MULTIRUN)
        launcher = Plugins.instance().instantiate_launcher(
            config=config,
            hydra_context=HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks()),
            task_function=task,
        )
        return list(launcher.launch([[f"do={word}"] for word in words], first))


def test_all_are_returned_in_their_order_whatever_became_of_them(tmp_path: Path) -> None:
    words = ["raise", "0", "die", "leave", "raise oddly", "return oddly", "num"]
    returned = launch(tmp_path, words, first=10)
    assert [job.overrides for job in returned] == [[f"do={word}"] for word in words]
    assert [job.status == JobStatus.COMPLETED for job in returned] == [
        word in ("0", "num") for word in words
    ]
    raised, zero, died, left, odd, strange, num = returned
    assert (zero.return_value, num.return_value) == (0, 16)
    with pytest.raises(ValueError, match="as it is"):
        _ = raised.return_value
    for job, told in (
        (died, "was killed by signal 9 (SIGKILL); what it wrote is in "),
        (left, "ended with exit code 7 before it returned"),
        (odd, "PickyError: as it was"),
        (strange, "what it returned, a lock, cannot be pickled"),
    ):
        assert isinstance(job._return_value, RunError)
        assert told in str(job._return_value)
    assert (died.cfg, died.hydra_cfg and died.hydra_cfg.hydra.job.num) == ({"do": "die"}, 12)


def test_a_traceback_is_in_the_log_of_its_job_alone(tmp_path: Path) -> None:
    launch(tmp_path, ["raise", "nothing"])
    failed, good = (
        RunDirectory(tmp_path / "sweep" / name).logs / "console.log" for name in ("0", "1")
    )
    assert failed.read_text().startswith("in its log raise\nTraceback")
    assert 'raise ValueError("as it is")' in failed.read_text()
    assert good.read_text() == "in its log nothing\n"


def test_a_job_whose_time_is_over_has_failed(tmp_path: Path) -> None:
    (job,) = launch(tmp_path, ["sleep"], time_limit="'0.5 seconds'")
    assert "used up its hydra.launcher.time_limit" in str(job._return_value)


def test_what_cannot_be_is_told_before_anything_begins(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        launch(tmp_path, ["0"], slots=0, jobs_per_gpu=0, retries=-1, time_limit="5steps", grace="x")
    assert caught.value.problems == (
        "hydra.launcher.slots must be >= 1, got 0",
        "hydra.launcher.jobs_per_gpu must be >= 1, got 0",
        "hydra.launcher.retries must be >= 0, got -1",
        "hydra.launcher.time_limit: '5steps' cannot be counted in steps here "
        "(units: seconds, minutes, hours, days)",
        "hydra.launcher.grace: 'x' is no duration: write a number and a unit, such as '2 seconds'",
    )


def test_to_know_of_the_launcher_costs_nothing() -> None:
    probe = (
        "import hydra, hydra.plugins.launcher, sys, runner.config.locate\n"
        "before = set(sys.modules)\n"
        "import hydra_plugins.runner_launchers\n"
        "print(*sorted({n.partition('.')[0] for n in set(sys.modules) - before}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe],
        env={**os.environ, "PYTHONPATH": SOURCES},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["hydra_plugins", "runner"]


def runs_of(folder: Path) -> list[RunDirectory]:
    (sweep,) = (folder / "outputs" / "run" / "sweeps").iterdir()
    return [RunDirectory(path) for path in sorted(sweep.iterdir()) if path.is_dir()]


def test_runs_of_a_sweep_and_their_failures_are_told_and_counted(tmp_path: Path) -> None:
    layers = "model.hidden_size=8,-1"
    done = call(*LOCAL, *BARE, "trainer.max_steps=3", layers, cwd=tmp_path)
    assert done.returncode == ConfigError.exit_code
    assert "1 of 2 jobs failed" in done.stderr
    assert "job 1 (trackers=none" in done.stderr and "hidden_size=-1) failed: " in done.stderr
    assert "Traceback" not in done.stderr
    good, bad = runs_of(tmp_path)
    assert read_status(good).state == "completed"
    assert read_status(bad).state == "failed"


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_stop_reaches_all_runs_which_save(tmp_path: Path, number: signal.Signals) -> None:
    endless = ("trainer.max_epochs=100000", "trainer.evaluate_every=null", "seed=1,2,3")
    process = start(*LOCAL, *BARE, *endless, cwd=tmp_path)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("outputs/run/sweeps/*/*/metrics.jsonl"))) < 2:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait(60) == 128 + number
    assert process.communicate()[1] == ("stopped\n" if number == signal.SIGINT else "")
    first, second = runs_of(tmp_path)
    assert [read_status(run).state for run in (first, second)] == ["preempted", "preempted"]
    assert all(list(run.checkpoints.glob("step_*")) for run in (first, second))
    assert gone([process.pid])
