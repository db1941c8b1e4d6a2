"""What arrives in MLflow from a cluster: in a file by who watches or `sync`, on a server."""

from collections.abc import Callable
from pathlib import Path

import pytest

from runner.run.directory import RunDirectory
from runner.sweeps.directory import SweepDirectory
from runner.trackers.mlflow.handover import handover_path
from tests.commands.command import call
from tests.commands.test_sweep import only_sweep, states
from tests.slurm.cluster import wait_until
from tests.trackers.mlflow.world import Server, StoredRun, stored_runs

NewJobs = Callable[[], list[str]]
pytestmark = [pytest.mark.slurm, pytest.mark.timeout(300)]

SWEEP = (
    *("-m", "+experiment=digits", "seed=1,2", "hydra/launcher=slurm", "hydra.launcher.wait=false"),
    *("hardware=cpu", "hardware.threads=1", "trainer.max_steps=2", "debug.limit_batches=1"),
    *("callbacks=none", "sweep.check=none", "trainer.log_every_steps=1"),
)


def test_a_file_is_fed_by_sync_once(new_jobs: NewJobs, tmp_path: Path) -> None:
    sweep = done_unwatched(new_jobs, tmp_path)
    store = tmp_path / "outputs" / "mlflow.db"
    assert not store.exists() or not stored_runs(store)
    assert "rows delivered, 0 were there" in sync(tmp_path, sweep)
    assert_nested(stored_runs(store), sweep)
    before = stored_runs(store)
    assert "nothing new" in sync(tmp_path, sweep)
    assert stored_runs(store) == before


@pytest.mark.slow  # a server starts
def test_a_server_hears_of_the_jobs_by_themselves(new_jobs: NewJobs, tmp_path: Path) -> None:
    server = Server(tmp_path / "server")
    server.start()
    try:
        uri = f"trackers.mlflow.tracking_uri={server.uri}"
        sweep = done_unwatched(new_jobs, tmp_path, uri)
        assert not (tmp_path / "outputs" / "mlflow.db").exists()
        alone = {run.name: run for run in stored_runs(server.database)}
        assert {name: run.status for name, run in alone.items() if name != sweep.path.name} == {
            "0": "FINISHED",
            "1": "FINISHED",
        }
        sync(tmp_path, sweep)
        assert_nested(after := stored_runs(server.database), sweep)
        assert {run.name: run.metrics for run in after if run.name in "01"} == {
            name: alone[name].metrics for name in "01"
        }
    finally:
        server.stop()


def test_a_file_is_fed_by_who_watches_one_run(new_jobs: NewJobs, tmp_path: Path) -> None:
    one = [word for word in SWEEP if word not in ("-m", "seed=1,2", "hydra.launcher.wait=false")]
    done = call(*one, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (run,) = stored_runs(tmp_path / "outputs" / "mlflow.db")
    (directory,) = (path.parent for path in (tmp_path / "outputs").rglob("run.json"))
    assert (run.name, run.status) == (directory.name, "FINISHED")
    # The job itself has left it to others.
    assert handover_path(RunDirectory(directory)).exists()
    assert "nothing new" in call("sync", str(directory), cwd=tmp_path).stdout


def done_unwatched(new_jobs: NewJobs, folder: Path, *overrides: str) -> SweepDirectory:
    """Submit the sweep, and wait until Slurm says that both of its jobs have ended well."""
    done = call(*SWEEP, *overrides, cwd=folder)
    assert done.returncode == 0, done.stderr
    wait_until(lambda: new_jobs() == ["COMPLETED"] * 2, seconds=200)
    sweep = only_sweep(folder)
    assert states(sweep) == ["completed"] * 2
    return sweep


def sync(folder: Path, sweep: SweepDirectory) -> str:
    done = call("sync", str(sweep.path.relative_to(folder)), cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def assert_nested(found: list[StoredRun], sweep: SweepDirectory) -> None:
    """Assert that there are the sweep and its two runs, below it, with each value once."""
    runs = {run.name: run for run in found}
    assert len(found) == 3 and set(runs) == {sweep.path.name, "seed=1", "seed=2"}
    assert {run.status for run in found} == {"FINISHED"}
    for name in ("seed=1", "seed=2"):
        assert runs[name].tags["mlflow.parentRunId"] == runs[sweep.path.name].run_id
        steps = [step for key, step, *_ in runs[name].metrics if key == "train/loss"]
        assert steps == [1, 2]
