"""What happens to jobs of a real Slurm: they come back, and end as if nothing had happened.

All of them are at work at once, since each waits most of its time; then each is looked at.
"""

import re
from collections.abc import Iterator, Mapping

import pytest

from runner.run.directory import RunDirectory
from tests.slurm.cluster import SlurmCluster, wait_until
from tests.slurm.runs import RunOnCluster, assert_same_end, undisturbed

pytestmark = pytest.mark.slurm

STRUCK = {  # by a command of Slurm's, on node1
    "USR2": ("scancel", "--signal=USR2"),
    "TERM": ("scancel", "--signal=TERM"),
    "requeue": ("scontrol", "requeue"),
    "cancel": ("scancel",),
}
EVICTED = {"preempt": "low", "grace": "grace"}  # from these partitions of node2
ENDS = ("COMPLETED", "FAILED", "CANCELLED")


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return undisturbed(tmp_path_factory.mktemp("straight") / "run")


@pytest.fixture(scope="module")
def runs(
    slurm_cluster: SlurmCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, RunOnCluster]]:
    """Start all runs, let happen to each what its name says, and wait for them."""
    folder = tmp_path_factory.mktemp("runs")
    names = (*EVICTED, *STRUCK, "die", "raise", "time")
    runs = {name: RunOnCluster(slurm_cluster, folder / name / "run") for name in names}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(slurm_cluster.conf))
        for name, partition in EVICTED.items():
            runs[name].submit(nodelist="node2", partition=partition)
        pace = "+callbacks.pace"
        runs["time"].submit(f"{pace}.at=1", f"{pace}.mischief=none", f"{pace}.seconds=1", time=1)
        for name in ("die", "raise"):
            runs[name].submit(f"{pace}.mischief={name}", nodelist="node1")
        for name in STRUCK:
            runs[name].submit(nodelist="node1")
        strike(slurm_cluster, runs)
        for run in runs.values():
            run.wait_for(*ENDS)
        yield runs


def strike(cluster: SlurmCluster, runs: Mapping[str, RunOnCluster]) -> None:
    for name, command in STRUCK.items():
        runs[name].strike(*command, runs[name].id)
    evicted = [runs[name] for name in EVICTED]
    for run in evicted:
        run.wait_until(lambda run=run: run.is_waiting, seconds=90)
    high = cluster.submit("true", "-p", "high", "-w", "node2", "--exclusive")
    wait_until(lambda: cluster.job(evicted[0].id)["JobState"] != "RUNNING", seconds=30)
    for run in evicted:
        run.go_on()
    cluster.wait_for(high, "COMPLETED", seconds=60)


@pytest.mark.parametrize("name", ["USR2", "TERM", "grace", "time"])
def test_a_job_that_is_warned_loses_no_step(
    runs: dict[str, RunOnCluster], straight: RunDirectory, name: str
) -> None:
    run = runs[name]
    assert_same_end(run, straight)
    assert run.restarts == len(run.from_steps) - 1 >= 1
    words = run.directory.console.read_text()
    for step in run.from_steps[1:]:
        assert re.search(rf"saved step={step} .*\nstopped", words), words


@pytest.mark.parametrize("name", ["requeue", "preempt", "die"])
def test_a_job_that_is_ended_goes_on(
    runs: dict[str, RunOnCluster], straight: RunDirectory, name: str
) -> None:
    run = runs[name]
    assert_same_end(run, straight)
    assert run.restarts == 1
    assert run.from_steps[1], "nothing was saved"


def test_a_cancelled_job_saves_and_stays_away(runs: dict[str, RunOnCluster]) -> None:
    run = runs["cancel"]
    assert run.slurm_state == "CANCELLED" and run.restarts == 0, run.words
    assert run.status.state == "cancelled", run.words
    assert (run.directory.checkpoints / f"step_{run.status.step:08d}" / "manifest.json").exists()


def test_an_error_of_the_code_is_a_failure_for_slurm_too(runs: dict[str, RunOnCluster]) -> None:
    run = runs["raise"]
    assert run.slurm_state == "FAILED" and run.restarts == 0
    assert run.cluster.job(run.id)["ExitCode"] == "1:0"
    assert run.status.state == "failed" and "ValueError: no luck" in (run.status.error or "")
    assert "no luck" in run.directory.console.read_text()
